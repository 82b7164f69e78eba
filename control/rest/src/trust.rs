//! Why workers do not trust each other's certificates, which no waiting mends.
use crate::problem::Problem;
use axum::http::StatusCode;
use rustls::{AlertDescription, Error};

/// What is wrong between this worker and the one at `url`; `None` when certificates are not the reason.
pub(crate) fn distrust(url: &str, error: &(dyn std::error::Error + 'static)) -> Option<Problem> {
    let text = match tls_error(error)? {
        Error::AlertReceived(alert) if is_refusal(*alert) => format!(
            "the worker at {url} that has to carry out the request does not trust the certificate of this worker ({alert:?}); set ssl.keystore.location of this worker to a certificate, for clients too, that an authority in ssl.truststore.location of that worker has signed"
        ),
        reason @ (Error::InvalidCertificate(_) | Error::NoCertificatesPresented) => format!(
            "the worker at {url} that has to carry out the request is not trusted: {reason}; set ssl.truststore.location of this worker to the authority of all workers' certificates, and give each a certificate for the host that it advertises"
        ),
        _ => return None,
    };
    Some(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, text))
}

/// What a server says that will not have a client's certificate.
fn is_refusal(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateRequired
            | AlertDescription::NoCertificate
            | AlertDescription::AccessDenied
            | AlertDescription::DecryptError
    )
}

/// The error of TLS among the reasons; errors of sockets hold it without naming it as their reason.
fn tls_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Error> {
    let mut reason = Some(error);
    while let Some(error) = reason {
        if let Some(tls) = error.downcast_ref::<Error>() {
            return Some(tls);
        }
        let held = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        reason = match held {
            Some(held) => Some(held),
            None => error.source(),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    fn message(error: Error) -> Option<String> {
        let wrapped = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, error));
        distrust("https://w:1", &wrapped).map(|problem| problem.json(false)["message"].as_str().unwrap().to_owned())
    }

    #[test]
    fn each_side_is_told_which_of_its_stores_to_look_at() {
        let refused = message(Error::AlertReceived(AlertDescription::UnknownCA)).unwrap();
        assert!(refused.contains("ssl.keystore.location of this worker"), "{refused}");
        let unknown = message(rustls::CertificateError::UnknownIssuer.into()).unwrap();
        assert!(unknown.contains("ssl.truststore.location of this worker"), "{unknown}");
    }

    #[test]
    fn a_connection_that_breaks_is_no_matter_of_certificates() {
        assert_eq!(message(Error::AlertReceived(AlertDescription::CloseNotify)), None);
        assert!(distrust("https://w:1", &io::Error::other("reset")).is_none());
    }
}
