//! Key providers: what they may do to a vault that asks them for a key, which is nothing but to refuse.

use crate::support;

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::mpsc;
use std::thread;

use chartvault::*;
use support::{House, note};

/// Keeps the keys and gives out tickets for them, as a hardware security module does; and whatever goes wrong with it.
#[derive(Default)]
struct Module {
    name: &'static str,
    held: Mutex<HashMap<Vec<u8>, Held>>,
    mood: Mutex<Mood>,
}

type Held = (VaultId, [u8; 32]);

#[derive(Clone, Copy, Default, PartialEq)]
enum Mood {
    #[default]
    Well,
    Down(ProviderError),
    /// Unwraps something else.
    Lying,
    Panicking,
    /// Wraps into so many bytes.
    Verbose(usize),
}

impl Module {
    fn named(name: &'static str) -> Self {
        Self { name, ..Self::default() }
    }

    fn feels(&self, mood: Mood) {
        *self.mood.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = mood;
    }

    fn mood(&self) -> Mood {
        *self.mood.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl KeyProvider for Module {
    fn name(&self) -> &str {
        self.name
    }

    fn wrap(&self, context: &KeyContext, key: &[u8; 32]) -> Result<Vec<u8>, ProviderError> {
        let mut held = self.held.lock().unwrap();
        let mut ticket = format!("ticket {}", held.len()).into_bytes();
        match self.mood() {
            Mood::Down(error) => return Err(error),
            Mood::Panicking => panic!("the module is on fire"),
            Mood::Verbose(len) => ticket.resize(len, b'!'),
            Mood::Well | Mood::Lying => {}
        }
        held.insert(ticket.clone(), (context.vault(), *key));
        Ok(ticket)
    }

    fn unwrap(&self, context: &KeyContext, wrapped: &[u8]) -> Result<RawKey, ProviderError> {
        match self.mood() {
            Mood::Down(error) => return Err(error),
            Mood::Panicking => panic!("the module is on fire"),
            Mood::Lying => return Ok(RawKey::from_bytes([0x11; 32])),
            Mood::Well | Mood::Verbose(_) => {}
        }
        let held = self.held.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let (vault, key) = held.get(wrapped).ok_or(ProviderError::Garbled)?;
        if *vault == context.vault() { Ok(RawKey::from_bytes(*key)) } else { Err(ProviderError::Refused) }
    }
}

fn unlock<'c>(house: &House, credential: impl Into<Credential<'c>>) -> Result<(), Error> {
    Vault::open_with(house.path(), house.options())?.unlock(credential)?.close()
}

fn with_module() -> (House, Module, u8) {
    let (house, vault) = House::create();
    let module = Module::named("hsm:front");
    let number = vault.add_slot(NewSlot::of(Credential::provider(&module)).label("server room"), &house.key).unwrap();
    vault.close().unwrap();
    (house, module, number)
}

#[test]
fn a_provider_opens_the_slot_whose_key_it_wrapped() {
    let (house, module, number) = with_module();
    let locked = Vault::open_with(house.path(), house.options()).unwrap();
    let vault = locked.unlock(&module as &dyn KeyProvider).unwrap();
    let slot = vault.slots().unwrap().pop().unwrap();
    assert_eq!((slot.number, slot.kind, slot.kdf), (number, SlotKind::Provider, None));
    assert_eq!((slot.provider.as_deref(), &*slot.label), (Some("hsm:front"), "server room"));
    assert_eq!(slot.last_used, Some(house.clock.now()));
    // It may authorise changes as any credential, and be replaced.
    vault.replace_slot(number, NewSlot::of(&RawKey::from_bytes([9; 32])), Credential::provider(&module)).unwrap();
    vault.close().unwrap();
    let refused = unlock(&house, Credential::provider(&module));
    assert!(
        matches!(refused, Err(Error::Unlock(UnlockError::NoSuchSlotKind { kind: SlotKind::Provider }))),
        "{refused:?}"
    );
}

#[test]
fn a_boxed_provider_moves_into_an_asynchronous_call() {
    let (house, module, _) = with_module();
    let workers = Workers::start().unwrap();
    let boxed: Box<dyn KeyProvider> = Box::new(module);
    let opening = async { AsyncVault::open_with(&workers, house.path(), house.options()).await?.unlock(boxed).await };
    pollster::block_on(async { opening.await?.close().await }).unwrap();
}

#[test]
fn providers_are_asked_about_their_own_slots_alone() {
    let (house, front, _) = with_module();
    let back = Module::named("hsm:back");
    let refused = unlock(&house, Credential::provider(&back));
    assert!(matches!(refused, Err(Error::Unlock(UnlockError::NoSuchSlotKind { .. }))), "{refused:?}");
    let vault = house.open();
    vault.add_slot(NewSlot::of(Credential::provider(&back)), &house.key).unwrap();
    vault.close().unwrap();
    // One that is down does not keep the other from opening its slot.
    front.feels(Mood::Down(ProviderError::Unavailable));
    unlock(&house, Credential::provider(&back)).unwrap();
    // A module that lost its keys, under the same name.
    let refused = unlock(&house, Credential::provider(&Module::named("hsm:back")));
    let Err(Error::Unlock(UnlockError::Provider { slot: 3, source })) = refused else { panic!("{refused:?}") };
    assert_eq!(source, ProviderError::Garbled);
}

#[test]
fn a_provider_that_fails_lies_or_panics_opens_nothing_and_breaks_nothing() {
    let (house, module, number) = with_module();
    let other = ProviderError::Other("the smoke detector rang");
    let errors =
        [ProviderError::Unavailable, ProviderError::Refused, ProviderError::TimedOut, ProviderError::Garbled, other];
    for error in errors {
        module.feels(Mood::Down(error));
        let refused = unlock(&house, Credential::provider(&module));
        let Err(Error::Unlock(UnlockError::Provider { slot, source })) = refused else { panic!("{refused:?}") };
        assert_eq!((slot, source), (number, error));
    }
    module.feels(Mood::Panicking);
    let refused = unlock(&house, Credential::provider(&module));
    let Err(Error::Unlock(UnlockError::Provider { source, .. })) = refused else { panic!("{refused:?}") };
    assert_eq!(source, ProviderError::Panicked);
    module.feels(Mood::Lying);
    let refused = unlock(&house, Credential::provider(&module));
    assert!(matches!(refused, Err(Error::Unlock(UnlockError::WrongCredential))), "{refused:?}");
    module.feels(Mood::Well);
    unlock(&house, Credential::provider(&module)).unwrap();
}

#[test]
fn no_slot_is_made_of_what_a_provider_does_not_give_back() {
    let (house, vault) = House::create();
    let module = Module::named("hsm");
    let add = || vault.add_slot(NewSlot::of(Credential::provider(&module)), &house.key);
    module.feels(Mood::Down(ProviderError::Refused));
    let refused = add();
    assert!(
        matches!(refused, Err(Error::Slot(NewSlotError::Provider { source: ProviderError::Refused }))),
        "{refused:?}"
    );
    module.feels(Mood::Lying);
    let refused = add();
    assert!(matches!(refused, Err(Error::Slot(NewSlotError::ProviderDisagrees))), "{refused:?}");
    for len in [0, 4_097, 1 << 20] {
        module.feels(Mood::Verbose(len));
        let refused = add();
        let Err(Error::Slot(NewSlotError::WrappedSize { len: found, limit: 4_096 })) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!(found, len);
    }
    for name in ["", "a\nb", &*"n".repeat(65).leak()] {
        let refused = vault.add_slot(NewSlot::of(Credential::provider(&Module::named(name))), &house.key);
        assert!(matches!(refused, Err(Error::Slot(NewSlotError::ProviderName { limit: 64 }))), "{refused:?}");
    }
    module.feels(Mood::Panicking);
    let refused = add();
    assert!(
        matches!(refused, Err(Error::Slot(NewSlotError::Provider { source: ProviderError::Panicked }))),
        "{refused:?}"
    );
    assert_eq!(vault.slots().unwrap().len(), 2);
    // The vault works as before, and takes other slots.
    vault.add_slot(NewSlot::of(&RawKey::generate().unwrap()), &house.key).unwrap();
}

#[test]
fn the_longest_that_a_provider_may_wrap_into_fits() {
    let (house, vault) = House::create();
    let module = Module::named("hsm");
    module.feels(Mood::Verbose(4_096));
    vault.add_slot(NewSlot::of(Credential::provider(&module)), &house.key).unwrap();
    vault.close().unwrap();
    unlock(&house, Credential::provider(&module)).unwrap();
}

/// Waits until it is told to go on.
struct Hanging(Mutex<mpsc::Receiver<()>>);

impl KeyProvider for Hanging {
    fn name(&self) -> &str {
        "hanging"
    }

    fn wrap(&self, _: &KeyContext, _: &[u8; 32]) -> Result<Vec<u8>, ProviderError> {
        self.0.lock().unwrap().recv().unwrap();
        Err(ProviderError::TimedOut)
    }

    fn unwrap(&self, _: &KeyContext, _: &[u8]) -> Result<RawKey, ProviderError> {
        Err(ProviderError::TimedOut)
    }
}

#[test]
fn nobody_else_waits_for_a_provider_that_hangs() {
    let (house, vault) = House::create();
    let (go_on, waits) = mpsc::channel();
    let hanging = Hanging(Mutex::new(waits));
    thread::scope(|scope| {
        let changing = scope.spawn(|| vault.add_slot(NewSlot::of(Credential::provider(&hanging)), &house.key));
        let session = house.session(&vault);
        let patient = session.register_patient([]).unwrap();
        for _ in 0..20 {
            let id = session.put(patient, &note("meanwhile")).unwrap();
            session.get(id).unwrap();
        }
        assert_eq!(vault.slots().unwrap().len(), 2);
        assert!(!changing.is_finished());
        go_on.send(()).unwrap();
        let refused = changing.join().unwrap();
        let timed_out = NewSlotError::Provider { source: ProviderError::TimedOut };
        assert!(matches!(refused, Err(Error::Slot(found)) if found == timed_out), "{refused:?}");
    });
}

#[test]
fn a_wrapped_key_of_another_vault_is_of_no_use() {
    let (house, module, _) = with_module();
    let (other, theirs) = House::create();
    theirs.add_slot(NewSlot::of(Credential::provider(&module)), &other.key).unwrap();
    theirs.close().unwrap();
    unlock(&house, Credential::provider(&module)).unwrap();
    unlock(&other, Credential::provider(&module)).unwrap();
    let held = module.held.lock().unwrap();
    assert_eq!(held.values().map(|(vault, _)| vault).collect::<std::collections::HashSet<_>>().len(), 2);
}
