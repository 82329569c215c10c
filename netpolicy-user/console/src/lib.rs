//! The console: a page for the browser, and a proxy to the agent's API that acts as its caller.
//!
//! It runs as the person who starts it and opens the agent's socket as that person, so that
//! grants, owners, the audit log and the check against lockouts hold in the browser as in the
//! shell. It decides nothing about policies: what the page shows and changes is the agent's API,
//! passed through. What this crate owns is who may reach it: the page's token and session
//! ([`sessions`](self)), the rules about hosts and origins, which requests are passed on, and
//! bounds on size, rate and connections.
//!
//! | File | Content |
//! |---|---|
//! | `settings.rs` | how a console is started |
//! | `sessions.rs` | tokens that are good once, secrets of sessions |
//! | `origin.rs` | which hosts and origins are accepted |
//! | `passed.rs` | which requests are passed on to the agent |
//! | `forward.rs` | the request to the agent, over its socket |
//! | `answer.rs` | answers of the console's own, and the headers of all |
//! | `assets.rs` | the page and the guide, packed by `build.rs` |
//! | `handle.rs` | one request, from its head to its answer |
//! | `examined.rs` | what `netpolicy doctor` says of the host |
//! | `imported.rs` | lists in other programs' formats, as list files |
//! | `connections.rs` | which connections are kept when there are too many |
//! | `serve.rs` | the listener |

mod answer;
mod assets;
mod connections;
mod examined;
mod forward;
mod handle;
mod imported;
mod origin;
mod passed;
mod rate;
mod serve;
mod sessions;
mod settings;

pub use serve::{Console, ConsoleError};
pub use settings::{Examiner, Listen, ListenError, Settings};
