"""How dates and times are written where Django writes them: in its admin as on the pages."""

DATE_FORMAT = "j M Y"
TIME_FORMAT = "H:i:s"
# A time that is shown in full names its zone.
DATETIME_FORMAT = "j M Y, H:i:s T"
