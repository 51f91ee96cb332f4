"""Device side: pure functions of arrays (log-mel frontend, augmentations, token masks); no models here."""
