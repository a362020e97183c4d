use chartvault::{AuthProof, Session};

fn twice(session: Session, proof: AuthProof) {
    let _ = session.step_up(proof);
    let _ = session.step_up(proof);
}

fn copied(proof: &AuthProof) -> AuthProof {
    proof.clone()
}

fn made() -> AuthProof {
    AuthProof { level: chartvault::SignInLevel::HardwareKey }
}

fn main() {}
