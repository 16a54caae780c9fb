"""How a bundle is refused: every class is one reason, and none of them is the auditor's own fault."""

from ledger.model.errors import MismatchError


class BundleError(MismatchError):
    """A bundle cannot be checked."""

    code = "bundle.refused"
    default_hint = "ask for the bundle again, or make it anew: ath-ledger audit export"


class NotABundleError(BundleError):
    """The file is no bundle of this format."""

    code = "bundle.not-a-bundle"


class BundleFormatError(BundleError):
    """The bundle says it has a format that this version does not read."""

    code = "bundle.format"
    default_hint = "install the version of ath-ledger that wrote it, or a later one"


class BundleDamagedError(BundleError):
    """Some byte of the file is not what a bundle's writer writes there."""

    code = "bundle.damaged"


class BundleTooLargeError(BundleError):
    """A bundle, a member, or what is to become one is larger than the format allows."""

    code = "bundle.too-large"


class MemberUnknownError(BundleError):
    """The bundle has a member the format does not know, or one with a name that could leave its folder."""

    code = "bundle.member-unknown"


class MemberMissingError(BundleError):
    """A member that every bundle of its kind has is not there."""

    code = "bundle.member-missing"


class MemberRepeatedError(BundleError):
    """A member is there twice, or out of order."""

    code = "bundle.member-repeated"


class MemberInvalidError(BundleError):
    """A member is not what its name says."""

    code = "bundle.member-invalid"
