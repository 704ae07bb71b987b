"""One command on several ranks that torchrun started: the first leads, the others follow."""

from collections.abc import Callable

from groundup.cli._work import begin_process, terminated_as_interrupt
from groundup.errors import GroundupError
from groundup.mesh import Mesh


def together(make: Callable[[Mesh], int]) -> int:
    """Have the first rank `make` what is to be made, and each other one do its part of it; the exit status.

    What the user did wrong is said by the first rank alone, and ends them all: torchrun stops the others.
    """
    begin_process()
    mesh = Mesh.from_environment()
    if mesh.first:
        status = make(mesh)
        mesh.agree(None)
    else:
        status = _follow(mesh)
    mesh.close()
    return status


def _follow(mesh: Mesh) -> int:
    from groundup.pipeline import follow

    try:
        with terminated_as_interrupt():
            follow(mesh)
    except GroundupError:
        return 2
    except RuntimeError as error:
        if "by peer" not in str(error):
            raise
        return 2  # gloo's "Connection closed by peer": the rank that ended is the one with something to say
    return 0
