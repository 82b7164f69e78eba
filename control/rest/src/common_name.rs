//! The common name of a certificate's subject, which names the caller of mutual TLS.
//!
//! The TLS library has checked the certificate against the truststore; it gives no access to the subject. What is read here
//! is DER's outline alone: lengths and tags, up to the one attribute.

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_IDENTIFIER: u8 = 0x06;
const VERSION: u8 = 0xa0;
/// 2.5.4.3, commonName.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

/// The last common name of the subject, which is the most specific one; `None` when there is none or the bytes are no
/// certificate.
pub(crate) fn of(certificate: &[u8]) -> Option<String> {
    let (_, certificate, _) = element(certificate)?;
    let (_, mut fields, _) = element(certificate)?;
    let (tag, _, after) = element(fields)?;
    if tag == VERSION {
        fields = after;
    }
    // Serial number, signature algorithm, issuer, validity; then the subject.
    for _ in 0..4 {
        fields = element(fields)?.2;
    }
    let (_, mut names, _) = element(fields).filter(|(tag, ..)| *tag == SEQUENCE)?;
    let mut found = None;
    while let Some((SET, mut set, after)) = element(names) {
        while let Some((SEQUENCE, attribute, next)) = element(set) {
            found = common_name(attribute).or(found);
            set = next;
        }
        names = after;
    }
    found
}

fn common_name(attribute: &[u8]) -> Option<String> {
    let (tag, kind, after) = element(attribute)?;
    let (_, text, _) = element(after)?;
    let is_wanted = tag == OBJECT_IDENTIFIER && kind == COMMON_NAME;
    String::from_utf8(text.to_vec()).ok().filter(|text| is_wanted && !text.is_empty())
}

/// Tag, content and what follows of the first element.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (digits.iter().fold(0, |length, digit| (length << 8) | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    let (content, after) = rest.split_at_checked(length)?;
    Some((tag, content, after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    fn certificate(name: &str) -> Vec<u8> {
        let file = format!("{}/tests/golden/tls/{name}.pem", env!("CARGO_MANIFEST_DIR"));
        CertificateDer::from_pem_file(file).unwrap().to_vec()
    }

    #[test]
    fn the_common_name_of_a_certificate_is_found() {
        assert_eq!(of(&certificate("client")).as_deref(), Some("team-1"));
        assert_eq!(of(&certificate("ca")).as_deref(), Some("ElasticFlow test authority"));
    }

    #[test]
    fn bytes_that_are_no_certificate_have_no_name() {
        let whole = certificate("client");
        for end in 0..whole.len() {
            let _ = of(&whole[..end]);
            let mut changed = whole.clone();
            changed[end] ^= 0xff;
            let _ = of(&changed);
        }
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
    }
}
