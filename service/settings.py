"""Settings from the environment, prefix ``BBQREC_``."""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

Provider = Literal["auto", "cpu", "cuda", "torch", "torch-cuda"]


class Settings(BaseSettings):
    """Everything an operator may set. Times are in seconds."""

    model_config = SettingsConfigDict(env_prefix="BBQREC_", frozen=True, extra="ignore")

    bundle: Path = Field(description="folder that `bbqrec-train export` wrote")
    host: str = "127.0.0.1"
    port: int = Field(8000, ge=0, le=65535)
    provider: Provider = Field(
        "auto",
        description="cpu, cuda: ONNX Runtime there; torch, torch-cuda: the fallback; "
        "auto: CUDA where it is, else CPU, else torch",
    )
    threads: int = Field(1, ge=1, description="threads that one batch is computed with")
    max_batch: int = Field(32, ge=1, le=1024)
    max_k: int = Field(500, ge=1)
    max_history: int = Field(10_000, ge=1, description="ids accepted; the latest are used")
    max_exclude: int = Field(10_000, ge=0)
    max_body_bytes: int = Field(2**20, ge=1024)
    redis_url: str | None = Field(None, description="share item codes; unset: in process only")
    redis_timeout: float = Field(0.02, gt=0, description="to connect and to answer; no retries")
    redis_pause: float = Field(1.0, ge=0, description="after a failure, go on without it this long")
    redis_ttl: int = Field(7 * 86_400, ge=60, description="codes of a replaced bundle vanish after")
    drain: float = Field(0.5, ge=0, description="/readyz is 503 this long before connections close")
