"""What gives candidates their scores: one file each behind one protocol, `Evaluator`.

| evaluator | a score is |
|---|---|
| `Called`, `listed` | what a function of the user's returns, or a CSV file lists |
| `surrogate` | ImageNet top-1, guessed from MACs and parameters |
| `Counted` | MACs or parameters |
| `Naswot`, `Synflow`, `GradientNorm` | a proxy computed from one pass of an untrained network (extra `torch`) |
| `Trained` | accuracy after a short training on real images (extras `torch` and, for the digits, `search`) |
"""

from costmodel.search.evaluators._base import Evaluator
from costmodel.search.evaluators._called import Called, Score
from costmodel.search.evaluators._counted import Counted
from costmodel.search.evaluators._gradient_norm import GradientNorm
from costmodel.search.evaluators._images import Images, Part, images
from costmodel.search.evaluators._listed import Listed, listed
from costmodel.search.evaluators._named import NAMES, named, own, require_named
from costmodel.search.evaluators._naswot import Naswot
from costmodel.search.evaluators._probe import Probe
from costmodel.search.evaluators._surrogate import Fit, Surrogate, SurrogateWarning, surrogate
from costmodel.search.evaluators._synflow import Synflow
from costmodel.search.evaluators._trained import Recipe, Trained, Training, train

__all__ = [
    "NAMES",
    "Called",
    "Counted",
    "Evaluator",
    "Fit",
    "GradientNorm",
    "Images",
    "Listed",
    "Naswot",
    "Part",
    "Probe",
    "Recipe",
    "Score",
    "Surrogate",
    "SurrogateWarning",
    "Synflow",
    "Trained",
    "Training",
    "images",
    "listed",
    "named",
    "own",
    "require_named",
    "surrogate",
    "train",
]
