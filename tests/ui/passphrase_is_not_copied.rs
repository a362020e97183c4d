use chartvault::Passphrase;

fn twice(pass: &Passphrase) -> Passphrase {
    Passphrase::clone(pass)
}

fn main() {}
