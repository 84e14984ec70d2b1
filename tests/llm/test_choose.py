"""Which models the settings choose, which settings are refused, and that a rehearsal loads no real
provider."""

import subprocess
import sys

import pytest

from app.settings import Settings
from workers.choose import UnknownModel
from workers.llm.lineup import Lineup
from workers.llm.model import Tokens
from workers.main import choose_models

KEYS = {"openai_api_key": "sk-1", "anthropic_api_key": "sk-2"}


def chosen(**settings: object) -> Lineup:
    return choose_models(Settings(_env_file=None, **settings))  # type: ignore[arg-type]


def test_a_key_alone_never_selects_a_model() -> None:
    assert chosen(**KEYS).name == "rehearsal"


def test_roles_fallback_and_strong() -> None:
    models = chosen(
        **KEYS,
        model="openai:gpt-4o-mini",
        model_builder="anthropic:claude-opus-5-5",
        model_fallback="rehearsal",
        model_strong="openai:gpt-4o",
        model_max_tokens=2000,
    )
    assert [model.name for model in models.speakers("CEO")] == ["openai:gpt-4o-mini", "rehearsal"]
    assert next(model.name for model in models.speakers("Builder")) == "anthropic:claude-opus-5-5"
    assert next(model.name for model in models.speakers("Builder", strong=True)) == "openai:gpt-4o"
    assert (models.answer_tokens(16_000), models.answer_tokens(1_500)) == (2_000, 1_500)
    assert models.first.price(Tokens(1_000_000, 0)) == pytest.approx(0.15)


LOCAL = {"model": "openai:gpt-4o-mini", "openai_base_url": "http://127.0.0.1:11434/v1"}


def test_an_own_model_does_not_get_the_price_of_a_known_one() -> None:
    assert chosen(**LOCAL).first.price(Tokens(1000, 1000)) is None
    priced = chosen(**LOCAL, model_input_price_usd=1, model_output_price_usd=2)
    assert priced.first.price(Tokens(1_000_000, 1_000_000)) == 3


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"model": "gpt-5"}, "MODEL=gpt-5 is not known"),
        ({"model": "openai:"}, "is not known"),
        ({"model": "openai:gpt-5"}, "OPENAI_API_KEY"),
        ({"model": "anthropic:claude-opus-5-5"}, "ANTHROPIC_API_KEY"),
        ({"model_fallback": "nobody"}, "nobody"),
        ({"model": "tape:/nowhere.jsonl"}, "/nowhere.jsonl cannot be read"),
        ({**LOCAL, "job_cost_budget_usd": 5}, "MODEL_INPUT_PRICE_USD"),
        ({**LOCAL, "user_day_cost_budget_usd": 5}, "MODEL_INPUT_PRICE_USD"),
    ],
)
def test_invalid_choices_are_explained(settings: dict[str, object], words: str) -> None:
    with pytest.raises(UnknownModel, match=words):
        chosen(**settings)


def test_a_rehearsal_does_not_load_what_only_real_models_need() -> None:
    heavy = ("pydantic_ai", "openai", "genai_prices")
    code = f"import sys, workers.main; print([name for name in {heavy} if name in sys.modules])"
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert said.stdout.strip() == "[]"
