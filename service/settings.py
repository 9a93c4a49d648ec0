"""Settings from the environment, prefix ``BBQREC_``."""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, AnyUrl, Field, SecretStr, UrlConstraints
from pydantic_settings import BaseSettings, SettingsConfigDict

from models.contract.live_counts import HALF_LIFE

RetrieverKind = Literal["auto", "exact", "compressed"]
Provider = Literal["auto", "cpu", "cpu-int8", "cuda", "torch", "torch-cuda"]
RedisUrl = Annotated[AnyUrl, UrlConstraints(allowed_schemes=["redis", "rediss", "unix"])]


def _can_be_asked(servers: str) -> str:
    if find_spec("confluent_kafka") is None:
        raise ValueError("it needs the extra kafka: pip install bbqrec[kafka]")
    return servers


class Settings(BaseSettings):
    """Everything an operator may set. Times are in seconds."""

    model_config = SettingsConfigDict(
        env_prefix="BBQREC_", env_ignore_empty=True, extra="ignore", frozen=True
    )

    bundle: Path = Field(
        description="output folder of a run, whose link `current` is followed, or one bundle"
    )
    wait: bool = Field(
        False,
        description="begin without a bundle: 503 for what needs one, and a page that says how far "
        "its training is, until `current` is there; false: there has to be one at the start",
    )
    watch: float = Field(
        0.5, ge=0, description="between looks at the folder's links; 0: only when asked to reload"
    )
    verify: Literal["start", "background"] = Field(
        "start",
        description="when hashes of a bundle's mapped tables are checked: before it serves, or "
        "while it does, and out of service it goes when one differs",
    )
    canary_share: float = Field(
        0.1, ge=0, le=1, description="of requests that the link `canary` answers, if there is one"
    )
    admin_key: SecretStr | None = Field(
        None, description="what POST /admin/reload asks for; unset: there is no such route"
    )
    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="0: any free one")
    page: bool = Field(
        True, description="GET / is a page to try it all in a browser; false: there is none"
    )
    pictures: Path | None = Field(
        None,
        description="folder from which the item file named pictures by their paths: the page shows "
        "them; unset: it shows none",
    )
    workers: int = Field(
        1,
        ge=1,
        le=256,
        description="processes behind the one port; /metrics tells of all of them",
    )
    engine: Literal["own", "shared"] = Field(
        "own",
        description="each worker has a model of its own, or one process more has it for all of "
        "them: of use on a GPU, and where one worker may have a second core",
    )
    provider: Provider = Field(
        "auto",
        description="cpu, cuda: ONNX Runtime there; cpu-int8: its weights in INT8; "
        "torch, torch-cuda: the fallback; "
        "auto: of both on a GPU the faster that works, else ONNX Runtime's CPU, else torch",
    )
    retriever: RetrieverKind = Field(
        "auto",
        description="exact; compressed: 24 bytes an item are scanned, the best scored exactly; "
        "auto: compressed where the bundle has an index, as those of large catalogues do",
    )
    threads: int = Field(1, ge=1, description="threads that one batch is computed with")
    max_batch: int = Field(32, ge=1, le=1024, description="histories computed together at most")
    max_k: int = Field(500, ge=1, description="items that one request may ask for")
    max_history: int = Field(10_000, ge=1, description="ids accepted; the model sees the latest")
    max_exclude: int = Field(10_000, ge=0, description="ids accepted in `exclude`")
    max_allow: int = Field(10_000, ge=0, description="ids accepted in `allow`")
    max_requests: int = Field(100, ge=1, description="requests that one batch may have")
    scenarios: Path | None = Field(
        None, description="TOML file of named settings of recommendations; followed as it changes"
    )
    max_body_bytes: int = Field(2**20, ge=1024, description="larger bodies are refused with 413")
    max_head_bytes: int = Field(
        2**15, ge=1024, description="a longer request line and headers are refused with 431"
    )
    max_connections: int = Field(
        4096, ge=1, description="open at once, a process; further ones get 503 and are closed"
    )
    read_timeout: float = Field(
        10.0, gt=0, description="a request that is not whole after this long gets 408"
    )
    keep_alive: float = Field(
        75.0,
        gt=0,
        description="a connection that says nothing this long is closed; longer than clients and "
        "proxies keep theirs, so that none is closed while a request is on its way",
    )
    max_wait: float = Field(
        0.25,
        gt=0,
        description="a request that would wait longer than this for those before it gets 503 and "
        "Retry-After at once; four times max_batch are always let in",
    )
    hang_timeout: float = Field(
        10.0, gt=0, description="of several workers, one that stands still this long is replaced"
    )
    deadline: float = Field(5.0, gt=0, description="a slower answer is given up with 504")
    slow: float = Field(
        1.0,
        gt=0,
        description="a request that took longer is logged, with its id and the trace it is part of",
    )
    drain: float = Field(
        0.5, ge=0, description="on shutdown /readyz is 503 this long before connections close"
    )
    live: Path | None = Field(
        None,
        description="folder of the log of changes to the catalogue; unset: `live` in the output "
        "folder",
    )
    log_url: RedisUrl | None = Field(
        None,
        description="Redis that keeps that log and the one of events, for several machines: "
        "appendonly yes, noeviction; unset: files in the folders `live` and `events`",
    )
    kafka: Annotated[str, AfterValidator(_can_be_asked)] | None = Field(
        None,
        description="HOST:PORT,...: what users do is kept in Kafka's topic bbqrec-events in place "
        "of that; it needs the extra kafka",
    )
    kafka_options: dict[str, str] = Field(
        {}, description='of librdkafka, as a JSON object: {"security.protocol": "SASL_SSL", ...}'
    )
    items_key: SecretStr | None = Field(
        None,
        description="what writers of items send as Authorization: Bearer KEY; unset: only those of "
        "this machine may write, which behind a proxy is everybody",
    )
    max_item_bytes: int = Field(
        8 * 2**20, ge=1024, description="an item, its picture included, that may be put"
    )
    max_items: int = Field(200_000, ge=1, description="lines that one PUT /items may have")
    max_after: float = Field(
        2.0, ge=0, description="a read with X-After waits this long for that change, then gets 503"
    )
    events: Path | None = Field(
        None, description="folder of what users did; unset: `events` in the output folder"
    )
    events_key: SecretStr | None = Field(
        None,
        description="what writers of events send as Authorization: Bearer KEY; unset: only those "
        "of this machine may write, which behind a proxy is everybody",
    )
    max_events: int = Field(1000, ge=1, description="events accepted in one request")
    history_types: frozenset[str] = Field(
        frozenset({"view", "click", "cart", "purchase", "like"}),
        description="types of events that are steps of a user's history, as a JSON list",
    )
    max_users: int = Field(
        100_000,
        ge=1,
        description="whose histories are known: those heard of last, and as many who were only "
        "shown something; each up to 10 KB, and 5 KB for each answer of 500 items, of 20",
    )
    store_every: float = Field(
        60.0, ge=0, description="between looks at whether events are to be stored; 0: never"
    )
    store_days: int = Field(0, ge=0, description="stored events are kept so many; 0: for ever")
    store_bytes: int = Field(
        0, ge=0, description="of stored events; beyond so many the oldest days go; 0: any number"
    )
    live_events: int = Field(
        200_000,
        ge=1,
        description="of what people did, that stay in the log once they are stored, beside as many "
        "records of late: what a start knows users by",
    )
    live_memory: bool = Field(
        True, description="what follows what, and what is popular, is counted from events, too"
    )
    live_half_life: float = Field(HALF_LIFE, gt=0, description="in which such a count halves")
    impressions: float = Field(
        1.0, ge=0, le=1, description="share of answers that are kept as events, as what was shown"
    )
    outcome_hours: float = Field(
        24.0,
        ge=0,
        description="that a click or a purchase may come after what was shown, and that callers of "
        "an experiment are observed for; 0: outcomes are not counted",
    )
    click_types: frozenset[str] = Field(
        frozenset({"click", "view"}),
        description="types of events that are clicks on what was shown, as a JSON list",
    )
    conversion_types: frozenset[str] = Field(
        frozenset({"purchase"}),
        description="types that are conversions, whose `value` is added up, as a JSON list",
    )
    seen_hours: float = Field(
        24.0,
        gt=0,
        description="`exclude_seen` hides what a user was shown in so many hours, of 20 answers",
    )
    redis_url: RedisUrl | None = Field(
        None, description="share codes of live items there; unset: each worker encodes them itself"
    )
    redis_timeout: float = Field(0.02, gt=0, description="to connect and to answer; no retries")
    redis_pause: float = Field(1.0, ge=0, description="after a failure it is left alone this long")
    redis_ttl: int = Field(7 * 86_400, ge=60, description="codes vanish from there after")
