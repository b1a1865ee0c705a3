//! What can go wrong with schedules, keys and ciphertexts.

use std::fmt;

/// What kind of failure it is; each has a name that does not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Code {
    /// The system refused to read or write.
    Io,
    /// The bytes or the text are not what the format says.
    Format,
    /// Written by another version of the format.
    Version,
    /// The contents are not those that were written.
    Checksum,
    /// More than the format or the memory at hand allows.
    TooLarge,
    /// Numbers that are no parameter set.
    Parameters,
    /// Less than 128 bits of security without leave.
    Insecure,
    /// A value that is used is not defined, or is of another kind.
    Value,
    /// No level is left, or two levels differ.
    Level,
    /// Two scales differ, or a product has not been rescaled.
    Scale,
    /// A product has not been relinearized, or a value that is no product is.
    Parts,
    /// A rotation, product or conjugate has no key, or none of enough levels.
    MissingKey,
    /// Keys or ciphertexts of another key owner.
    WrongKey,
    /// Keys or ciphertexts of another parameter set.
    WrongParameters,
    /// An input is missing, unknown, or of another size.
    Input,
    /// A number is too large for the first prime, or is none.
    Range,
    /// An argument of an approximated function that leaves its range.
    Argument,
    /// The system gives no random numbers.
    Entropy,
    /// The caller asked to stop.
    Stopped,
    /// The other implementation cannot do it.
    Unsupported,
}

impl Code {
    /// The name, as messages show it.
    pub fn name(self) -> &'static str {
        match self {
            Code::Io => "io",
            Code::Format => "format",
            Code::Version => "version",
            Code::Checksum => "checksum",
            Code::TooLarge => "too-large",
            Code::Parameters => "parameters",
            Code::Insecure => "insecure",
            Code::Value => "value",
            Code::Level => "level",
            Code::Scale => "scale",
            Code::Parts => "parts",
            Code::MissingKey => "missing-key",
            Code::WrongKey => "wrong-key",
            Code::WrongParameters => "wrong-parameters",
            Code::Input => "input",
            Code::Range => "range",
            Code::Argument => "argument",
            Code::Entropy => "entropy",
            Code::Stopped => "stopped",
            Code::Unsupported => "unsupported",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A failure of the encrypted target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CkksError {
    /// What kind of failure it is.
    pub code: Code,
    /// What is wrong, in one line.
    pub message: String,
}

impl CkksError {
    /// A failure.
    pub fn new(code: Code, message: impl Into<String>) -> CkksError {
        CkksError { code, message: message.into() }
    }

    /// Says where it happened.
    pub(crate) fn within(mut self, place: &str) -> CkksError {
        self.message = format!("{place}: {}", self.message);
        self
    }
}

impl fmt::Display for CkksError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}]", self.message, self.code)
    }
}

impl std::error::Error for CkksError {}
