//! A client's certificate as its proof: its common name is the user's. That the certificate is genuine, and the client's,
//! TLS has seen to. Source: PostgreSQL `src/backend/libpq/auth.c`, `CheckCertAuth`.

use super::{Authenticated, Refused};
use x509_parser::prelude::{FromDer, X509Certificate};

#[cfg(test)]
mod tests;

/// `der` is the certificate that the client has shown and TLS has verified; `known` says whether there is such a user.
///
/// # Errors
/// None was shown, or it is not this user's.
pub fn certificate(user: &str, der: Option<&[u8]>, known: bool) -> Result<Authenticated, Refused> {
    let der = der.ok_or(Refused::NoCertificate)?;
    let named = common_name(der).is_some_and(|name| name == user);
    if named & known { Ok(Authenticated { user: user.to_owned() }) } else { Err(Refused::OtherCertificate) }
}

/// The subject's common name. None: there is none or more than one, or it cannot be read.
fn common_name(der: &[u8]) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let mut names = certificate.subject().iter_common_name();
    let name = names.next()?.as_str().ok()?.to_owned();
    // A zero byte inside would end the name for some, and not for others.
    (names.next().is_none() && !name.contains('\0')).then_some(name)
}
