use chartvault::{Purpose, Token, Vault};

fn work(token: &Token) -> Result<(), chartvault::Error> {
    let locked = Vault::open("clinic.vault")?;
    locked.session(token, Purpose::Treatment)?;
    Ok(())
}

fn main() {}
