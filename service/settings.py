"""Settings from the environment, prefix ``BBQREC_``."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AnyUrl, Field, UrlConstraints
from pydantic_settings import BaseSettings, SettingsConfigDict

RetrieverKind = Literal["auto", "exact", "compressed"]
Provider = Literal["auto", "cpu", "cpu-int8", "cuda", "torch", "torch-cuda"]
RedisUrl = Annotated[AnyUrl, UrlConstraints(allowed_schemes=["redis", "rediss", "unix"])]


class Settings(BaseSettings):
    """Everything an operator may set. Times are in seconds."""

    model_config = SettingsConfigDict(
        env_prefix="BBQREC_", env_ignore_empty=True, extra="ignore", frozen=True
    )

    bundle: Path = Field(description="folder that `bbqrec-train export` wrote")
    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="0: any free one")
    workers: int = Field(
        1,
        ge=1,
        le=256,
        description="processes behind the one port, each with a model of its own; "
        "/metrics tells of all of them",
    )
    provider: Provider = Field(
        "auto",
        description="cpu, cuda: ONNX Runtime there; cpu-int8: its weights in INT8; "
        "torch, torch-cuda: the fallback; "
        "auto: CUDA if ONNX Runtime has it, else its CPU, else torch",
    )
    retriever: RetrieverKind = Field(
        "auto",
        description="exact; compressed: 24 bytes an item are scanned, the best scored exactly; "
        "auto: exact up to 200,000 items",
    )
    threads: int = Field(1, ge=1, description="threads that one batch is computed with")
    max_batch: int = Field(32, ge=1, le=1024, description="histories computed together at most")
    max_k: int = Field(500, ge=1, description="items that one request may ask for")
    max_history: int = Field(10_000, ge=1, description="ids accepted; the model sees the latest")
    max_exclude: int = Field(10_000, ge=0, description="ids accepted in `exclude`")
    max_body_bytes: int = Field(2**20, ge=1024, description="larger bodies are refused with 413")
    deadline: float = Field(5.0, gt=0, description="a slower answer is given up with 504")
    drain: float = Field(
        0.5, ge=0, description="on shutdown /readyz is 503 this long before connections close"
    )
    redis_url: RedisUrl | None = Field(
        None, description="share item codes there; unset: in process only"
    )
    redis_timeout: float = Field(0.02, gt=0, description="to connect and to answer; no retries")
    redis_pause: float = Field(1.0, ge=0, description="after a failure, looked at again this often")
    redis_ttl: int = Field(7 * 86_400, ge=60, description="codes of a replaced bundle vanish after")
    redis_refresh: float = Field(
        10.0, gt=0, le=30, description="how often to look whether the codes are still there"
    )
