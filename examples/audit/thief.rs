//! Whoever can change the whole vault, and not what is kept outside it.

use std::fs;
use std::path::Path;

use chartvault::{Error, Scope, Vault};

use crate::house::House;
use crate::show::{item, note};
use crate::{Outcome, must};

pub fn puts_back_an_older_copy(house: &House, dir: &Path) -> Outcome<()> {
    house.close()?;
    fs::rename(&house.path, dir.join("taken-away.vault"))?;
    fs::rename(&house.copy, &house.path)?;
    let refused = Vault::open_with(&house.path, house.options())?.unlock(&house.pass);
    let Err(error) = refused else { return Err("yesterday's copy was opened".into()) };
    must(matches!(error, Error::RolledBack { .. } | Error::Anchor(_)), "refused for another reason")?;
    item("opening", &error);
    let evidence = Vault::open_with(&house.path, house.options())?.examine(&house.pass, dir.join("copy-to-look-at"))?;
    let verified = evidence.verify(Scope::All)?;
    item("examined", format!("{} entries, sound in themselves; the third day is missing", verified.entries));
    note("Nothing was written into what the thief left: it is evidence.");
    Ok(())
}
