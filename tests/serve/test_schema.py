"""schemathesis against the server's own OpenAPI description: requests nobody would think of."""

import subprocess
import sys
from pathlib import Path

import pytest

from serve.house import serving

CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance,unsupported_method,allow_header_conformance,missing_required_header"
)


@pytest.mark.slow
def test_made_up_requests_find_no_fault(tmp_path: Path) -> None:
    pytest.importorskip("schemathesis")
    with serving() as house:
        command = [
            sys.executable, "-m", "schemathesis.cli", "run", f"{house.root}/openapi.json", "--checks", CHECKS,
            "--max-examples", "15", "--max-time", "90", "--phases", "examples,coverage,fuzzing",
            "--continue-on-failure", "--generation-deterministic", "--no-color",
        ]  # fmt: skip
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=230, check=False)
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
        assert '"failure"' not in house.log.getvalue()
