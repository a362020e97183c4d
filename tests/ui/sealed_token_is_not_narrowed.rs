use chartvault::SealedToken;

fn narrow(sealed: SealedToken) {
    let _ = sealed.attenuate();
}

fn main() {}
