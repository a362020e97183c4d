// A small clinic for the examples in the documentation: included there, so that each of them runs.
#[allow(unused_imports)]
pub use chartvault::*;

#[derive(Record, serde::Serialize, serde::Deserialize)]
#[record(kind = "note", version = 1)]
pub struct Note {
    pub text: String,
}

#[allow(dead_code)]
pub struct Clinic {
    pub vault: Vault,
    pub token: Token,
    pub dir: tempfile::TempDir,
    pub key: RawKey,
    pub issuer: IssuerKey,
}

#[allow(dead_code, clippy::new_without_default)]
impl Clinic {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = RawKey::generate().unwrap();
        let (vault, _) = Vault::create(dir.path().join("clinic.vault")).raw_key(&key).finish().unwrap();
        let issuer = IssuerKey::generate().unwrap();
        vault.trust_issuer(issuer.public(), &key).unwrap();
        let token = Grant::to("dr.osei")
            .all_patients()
            .all_kinds()
            .actions(Action::ALL.iter().copied())
            .purpose(Purpose::Treatment)
            .valid_for(std::time::Duration::from_secs(3_600))
            .sign(&issuer, vault.id())
            .unwrap();
        Self { vault, token, dir, key, issuer }
    }

    pub fn session(&self) -> Session {
        self.vault.session(&self.token, Purpose::Treatment).unwrap()
    }
}
