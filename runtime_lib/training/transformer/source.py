"""Where a transformer's files are, and what reading text with it takes; nothing large is loaded for that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime_lib.data.inputs import Pretrained, read_pretrained
from runtime_lib.errors import CapacityError, ModelError, ServiceError, SettingsError, require
from runtime_lib.hardware import choose_device
from runtime_lib.hardware.device.compute_plan import ComputePlan
from runtime_lib.settings import Settings
from runtime_lib.training.hold import plan_for
from runtime_lib.training.transformer.embed import AT_ONCE, open_transformer
from runtime_lib.training.transformer.network import CONFIG, NAMES, WEIGHTS, read_config, read_shapes

if TYPE_CHECKING:
    from runtime_lib.training.transformer.embed import Transformer

__all__ = ["Source", "beside", "find_source"]

_TOKENS = 256


@dataclass(frozen=True)
class Source:
    """A transformer that is not loaded yet. `size`: of a vector. `plan`: of reading a batch of texts."""

    name: str
    files: Mapping[str, Path]
    size: int
    tokens: int
    plan: ComputePlan

    def open(self) -> Transformer:
        """Load it; see `open_transformer`."""
        contents = {name: path.read_bytes() for name, path in self.files.items()}
        return open_transformer(
            contents,
            tokens=self.tokens,
            device=self.plan.device.name,
            name=self.name,
            at_once=self.plan.predict_rows,
        )


def find_source(settings: Settings) -> Source | None:
    """Find the transformer that params.yaml names; None: it names none.

    Raises:
        SettingsError: it is named wrongly, or not there.
        ModelError: its files cannot be read, or are of another kind.
        ServiceError: the hub does not answer.
        CapacityError: not even one text at a time fits.
        MissingExtraError: transformers is not installed.
    """
    wanted = read_pretrained(settings)
    if wanted is None:
        return None
    require("transformers", extra="text")
    files = _from_hub(wanted) if wanted.hub else _in_folder(settings.root / wanted.folder)
    name = str(wanted)
    config = read_config(files[CONFIG].read_bytes(), name)
    shapes = read_shapes(files[WEIGHTS], name)
    tokens, size = _tokens(wanted, config), int(config.hidden_size)
    # Text is read by torch, also beside a network in MLX.
    device = choose_device("torch", force_gpu=settings.hardware.force_gpu)
    plan = plan_for(
        shapes,
        device,
        width=tokens,
        batch_size=AT_ONCE,
        training=False,
        hardware=settings.hardware,
        units=tokens * (2 * size + int(getattr(config, "intermediate_size", 4 * size))),
    )
    # While it is loaded there is the file as well, and its weights as they come out of it.
    loading = 2 * files[WEIGHTS].stat().st_size
    plan = replace(
        plan, memory_bytes=plan.memory_bytes + loading, predict_rows=min(plan.predict_rows, AT_ONCE)
    )
    return Source(name, files, size, tokens, plan)


def beside(plan: ComputePlan, source: Source) -> ComputePlan:
    """The plan of a trainer whose text is read by a transformer that stays loaded.

    Raises:
        CapacityError: the two do not fit.
    """
    need, limit = plan.memory_bytes + source.plan.memory_bytes, plan.memory_limit_bytes
    more = f"{source.plan.memory_bytes / 2**20:,.0f} MiB more for the transformer {source.name}"
    if limit is not None and need > limit:
        raise CapacityError(
            f"The work needs {plan.memory_bytes / 2**20:,.0f} MiB and {more}, and {plan.reasons[0]}. Take a "
            f"smaller transformer, a smaller train.batch_size, or lower inputs.transformer.tokens.",
            missing_bytes=need - limit,
        )
    return replace(plan, memory_bytes=need, reasons=(*plan.reasons, more))


def _tokens(wanted: Pretrained, config: Any) -> int:
    most = getattr(config, "max_position_embeddings", None) or _TOKENS
    if wanted.tokens is not None and wanted.tokens > most:
        raise SettingsError(
            f"params.yaml, inputs.transformer: tokens = {wanted.tokens:,}, and '{wanted}' takes {most:,}."
        )
    return wanted.tokens or min(_TOKENS, most)


def _in_folder(folder: Path) -> dict[str, Path]:
    files = {name: folder / name for name in NAMES}
    if not folder.is_dir():
        raise SettingsError(f"params.yaml, inputs.transformer: there is no folder {folder}.")
    absent = [name for name, path in files.items() if not path.is_file()]
    if absent:
        raise ModelError(f"{folder}: {absent[0]} is missing. {_instead(absent[0], sorted(folder.iterdir()))}")
    return files


def _instead(absent: str, there: list[Path]) -> str:
    pickled = [path.name for path in there if path.suffix in (".bin", ".pt", ".pth", ".ckpt", ".pkl")]
    parts = [path.name for path in there if path.name.endswith(".safetensors")]
    if absent == WEIGHTS and parts:
        return f"{parts[0]} is not read: save the weights as one file of that name."
    if absent == WEIGHTS and pickled:
        return (
            f"{pickled[0]} is a pickle, which can run any code, and is not read. Take a revision with "
            f"safetensors, or convert it where you trust it: `model.save_pretrained(folder)`."
        )
    return f"A transformer's folder holds {', '.join(NAMES)}."


def _from_hub(wanted: Pretrained) -> dict[str, Path]:
    """The files in the cache of the hub's client, for all projects; what is there is not asked for again."""
    hub = require("huggingface_hub", extra="text")
    errors = require("huggingface_hub.errors", extra="text")
    found = {}
    for name in NAMES:
        try:
            found[name] = Path(hub.hf_hub_download(wanted.hub, name, revision=wanted.revision))
        except errors.HFValidationError as error:
            raise SettingsError(f"params.yaml, inputs.transformer: hub = {wanted.hub!r}: {error}") from error
        except errors.LocalEntryNotFoundError as error:  # before the next, whose kind it is
            raise _unreachable(wanted, error) from error
        except errors.EntryNotFoundError as error:
            raise ModelError(
                f"{wanted} has no {name}: only safetensors and tokenizer.json are read, nothing pickled. "
                f"Take another revision or model, or convert it to a folder where you trust it."
            ) from error
        except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as error:
            raise SettingsError(
                f"params.yaml, inputs.transformer: the hub has no {wanted}, or it is not yours to read "
                f"(`hf auth login`)."
            ) from error
        except Exception as error:  # of the HTTP client, by its version
            raise _unreachable(wanted, error) from error
    return found


def _unreachable(wanted: Pretrained, error: Exception) -> ServiceError:
    cause = str(error.__cause__ or error).splitlines()[0]
    return ServiceError(
        f"The hub does not give {wanted} ({cause:.200}). Without it, copy the files {', '.join(NAMES)} into "
        f"a folder and name that: `inputs: {{transformer: {{folder: …}}}}`."
    )
