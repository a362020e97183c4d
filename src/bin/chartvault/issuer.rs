//! An issuer's secret key in a file: one line, `cvsk1_` and 43 characters of base64url.

use std::io::Write;
use std::path::Path;

use chartvault::IssuerKey;
use data_encoding::BASE64URL_NOPAD;
use zeroize::Zeroizing;

use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::secrets::{first_line, new_private, private_file};

const PREFIX: &str = "cvsk1_";

/// Draws a key and writes it to a new file, for its owner alone.
pub fn make(path: &Path) -> Outcome<IssuerKey> {
    let key = IssuerKey::generate().map_err(|error| Failure::new(Code::Error, error))?;
    let mut file = new_private(path)?;
    let text = Zeroizing::new(format!("{PREFIX}{}\n", BASE64URL_NOPAD.encode(&*key.to_secret_bytes())));
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    written.map_err(|error| Failure::file("writing", path, &error))?;
    Ok(key)
}

/// Reads a key.
pub fn read(path: &Path) -> Outcome<IssuerKey> {
    let no_key = || {
        Failure::new(
            Code::Error,
            format_args!("{} holds no issuer's secret key (`{PREFIX}` and 43 characters)", path.display()),
        )
        .hint("draw one: chartvault token issuer new --out FILE")
    };
    let text = first_line(&private_file(path)?, "an issuer's secret key")?;
    let encoded = text.trim_end().strip_prefix(PREFIX).ok_or_else(no_key)?;
    let bytes = Zeroizing::new(BASE64URL_NOPAD.decode(encoded.as_bytes()).map_err(|_| no_key())?);
    let bytes: Zeroizing<[u8; 32]> = Zeroizing::new(bytes.as_slice().try_into().map_err(|_| no_key())?);
    Ok(IssuerKey::from_secret_bytes(&bytes))
}

/// Reads a key, or draws one where there is no file. Says whether it was drawn.
pub fn read_or_make(path: &Path) -> Outcome<(IssuerKey, bool)> {
    if path.exists() { Ok((read(path)?, false)) } else { Ok((make(path)?, true)) }
}
