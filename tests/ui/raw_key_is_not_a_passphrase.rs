use chartvault::Vault;

fn main() {
    let locked = Vault::open("clinic.vault").unwrap();
    let _ = locked.unlock("correct horse battery staple");
}
