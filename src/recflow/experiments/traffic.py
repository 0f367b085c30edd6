from recflow.experiments.planning import Traffic
def read_traffic(events, recipe, start, hours): return None
