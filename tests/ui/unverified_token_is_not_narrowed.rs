use chartvault::UnverifiedToken;

fn narrow(received: UnverifiedToken) {
    let _ = received.attenuate();
}

fn main() {}
