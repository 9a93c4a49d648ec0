"""The one error that a user caused and can mend."""


class UserError(Exception):
    """Printed as it is, without a traceback: it names the file, the field or the line at fault."""
