"""SimCLR on the embedded instrument recordings: what `ssl-audio quickstart` trains.

`ssl-audio quickstart` also builds the store, judges and writes the report; this file shows the choices, and
lets them be changed: `ssl-audio store gm_instruments --out stores/gm` and
`ssl-audio train experiments/quickstart.py --data.store stores/gm`.
"""

from ssl_audio.quickstart import experiment

__all__ = ["experiment"]
