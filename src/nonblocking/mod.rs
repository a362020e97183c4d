//! Floor 10: the calls as futures. Whatever syncs, reads or derives a key runs on threads made for blocking, never on the
//! thread that polls, and works under any runtime or none.

mod call;
mod session;
mod vault;
mod workers;

pub use call::Call;
pub use session::AsyncSession;
pub use vault::{AsyncLockedVault, AsyncVault};
pub use workers::Workers;
