"""Client of Jenner, a training service for inoculation-prompting studies.

    import jenner

    client = jenner.Client()                       # JENNER_SERVER, else 127.0.0.1:7070
    experiment = client.submit("experiment.yaml")
    for update in client.watch(experiment):
        print(update)
    client.results(experiment)                     # a pandas.DataFrame
    client.study(experiment).contrasts             # figures with their uncertainty

`Client` has everything; `frames` and `study` have the columns of the tables; `errors` what is raised.
"""

from jenner._watch import Watch
from jenner.client import Client
from jenner.errors import (
    AbortedError,
    AlreadyExistsError,
    CancelledError,
    DataLossError,
    DeadlineExceededError,
    ExperimentFailedError,
    FailedPreconditionError,
    Fault,
    InternalError,
    InvalidArgumentError,
    JennerError,
    NotFoundError,
    OutOfRangeError,
    PermissionDeniedError,
    ResourceExhaustedError,
    UnauthenticatedError,
    UnavailableError,
    UnimplementedError,
    UnknownError,
)
from jenner.model import (
    Artifact,
    Cell,
    Change,
    Experiment,
    Heartbeat,
    Job,
    Plan,
    Reason,
    Rewind,
    State,
    Terminal,
    TrainPoint,
    TraitRatio,
    Update,
)
from jenner.study import Selection, Study

__version__ = "0.1.0"

__all__ = [
    "AbortedError",
    "AlreadyExistsError",
    "Artifact",
    "CancelledError",
    "Cell",
    "Change",
    "Client",
    "DataLossError",
    "DeadlineExceededError",
    "Experiment",
    "ExperimentFailedError",
    "FailedPreconditionError",
    "Fault",
    "Heartbeat",
    "InternalError",
    "InvalidArgumentError",
    "JennerError",
    "Job",
    "NotFoundError",
    "OutOfRangeError",
    "PermissionDeniedError",
    "Plan",
    "Reason",
    "ResourceExhaustedError",
    "Rewind",
    "Selection",
    "State",
    "Study",
    "Terminal",
    "TrainPoint",
    "TraitRatio",
    "UnauthenticatedError",
    "UnavailableError",
    "UnimplementedError",
    "UnknownError",
    "Update",
    "Watch",
]
