//! What commands print.
use std::io::Write;

/// Prints to standard output; a closed output, such as `| head`, is no error of ours.
pub(crate) fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    drop(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
}

/// Says something about what is done, on standard error: what is printed stays what was asked for.
pub(crate) fn tell(text: &str) {
    drop(writeln!(std::io::stderr().lock(), "elasticflow: {text}"));
}
