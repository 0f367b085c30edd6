"""Simulated shoppers: a position-based click model over human grades (Craswell et al. 2008; Chuklin et al. 2015).

A shopper looks at position k with probability k**-eta and clicks what he looks at with a probability that grows with
its grade; some clicks become carts, some carts purchases. Nothing here is a measurement of real shoppers.
"""

import random

# What a shopper does, in this order; of these a line names those that it wants to know.
CLICK, CART, PURCHASE = "click", "cart", "purchase"
# Probability of a click on an examined item of grade 0, 1, 2, 3.
ATTRACTION = (0.02, 0.12, 0.35, 0.75)
CART_AFTER_CLICK, PURCHASE_AFTER_CART = 0.3, 0.5


def attraction(grade: float) -> float:
    """Click probability of an examined item; between whole grades on a straight line."""
    low = min(int(grade), len(ATTRACTION) - 2)
    return ATTRACTION[low] + (ATTRACTION[low + 1] - ATTRACTION[low]) * (grade - low)


def acts(luck: random.Random, grade: float, position: int, eta: float) -> list[str]:
    """What one shopper does with one shown item, in order. Always the same number of draws from `luck`."""
    click, cart, purchase = luck.random(), luck.random(), luck.random()
    done: list[str] = []
    if click < position**-eta * attraction(grade):
        done.append(CLICK)
        if cart < CART_AFTER_CLICK:
            done.append(CART)
            if purchase < PURCHASE_AFTER_CART:
                done.append(PURCHASE)
    return done
