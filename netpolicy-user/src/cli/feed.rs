//! `netpolicy feed …`.
//!
//! What needs no network is done here. What reads the internet is done by another program,
//! `netpolicy-net`, so that this one links no TLS.

mod settings;

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use self::settings::FeedSettings;
use super::context::Context;
use super::failure::{Exit, Failure};
use super::safety::Safety;
use super::submit::submit;
use crate::api::FeedView;
use crate::model::Feed;
use crate::model::change::{Change, FeedEdit};
use crate::model::error::closest;
use crate::output::Format;

/// The other program.
const NET: &str = "netpolicy-net";

/// Where it is, apart from this program's own directory.
const LIBEXEC: &[&str] = &["/usr/libexec/netpolicy", "/usr/lib/netpolicy"];

/// Time between two looks at a feed that is being refreshed.
const LOOK: Duration = Duration::from_millis(200);

/// How long the process that refreshes has to begin, and to hand over.
const PATIENCE: Duration = Duration::from_secs(15);

#[derive(Debug, clap::Subcommand)]
#[expect(clippy::large_enum_variant, reason = "there is one command")]
pub(super) enum FeedCommand {
    /// List all feeds: how many entries, how old, when they are refreshed next
    List,
    /// Create a feed: a list that is refreshed from a URL or file, which policies refer to as @NAME
    Create(Box<CreateFeedArgs>),
    /// Change the settings of a feed; what is not named stays, its content too
    Alter(Box<AlterFeedArgs>),
    /// Drop a feed to which no policy refers
    Drop {
        /// The feed
        name: String,
        #[command(flatten)]
        safety: Safety,
    },
    /// Show a feed: its source, how it is, and what is refused of it
    Show {
        /// The feed
        name: String,
    },
    /// Refresh a feed now, and wait for what comes of it
    Refresh {
        /// The feed
        name: String,
    },
    /// Read a URL or file as a feed would, and say what it holds; changes nothing
    Test(TestArgs),
    /// Refresh all feeds until stopped; netpolicy-feed.service runs this as an unprivileged user
    Run(NetArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct CreateFeedArgs {
    /// Its name: 3 to 28 letters, digits, underscores and hyphens
    name: String,
    /// An https:// URL, or the path of a file that netpolicy-feed can read
    #[arg(value_name = "URL|FILE")]
    source: String,
    /// Description
    #[arg(long)]
    comment: Option<String>,
    #[command(flatten)]
    settings: FeedSettings,
    #[command(flatten)]
    safety: Safety,
}

#[derive(Debug, clap::Args)]
pub(super) struct AlterFeedArgs {
    /// The feed
    name: String,
    /// An https:// URL, or the path of a file that netpolicy-feed can read
    #[arg(long, value_name = "URL|FILE")]
    source: Option<String>,
    /// Description; an empty one removes it
    #[arg(long)]
    comment: Option<String>,
    #[command(flatten)]
    settings: FeedSettings,
    #[command(flatten)]
    safety: Safety,
}

/// Options of what reads the internet.
#[derive(Debug, clap::Args)]
pub(super) struct NetArgs {
    /// Certificates to trust instead of the system's, PEM
    #[arg(
        long,
        value_name = "FILE",
        env = "SSL_CERT_FILE",
        hide_env_values = true
    )]
    ca: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(super) struct TestArgs {
    /// An https:// URL, or a file
    #[arg(value_name = "URL|FILE")]
    source: String,
    #[command(flatten)]
    net: NetArgs,
    // Last: its heading would go on.
    #[command(flatten)]
    settings: FeedSettings,
}

impl FeedCommand {
    /// The arguments of the other program, if that one does it. `given`: those of this one.
    pub(super) fn for_net(
        &self,
        given: &[OsString],
        format: Format,
    ) -> Option<Result<Vec<OsString>, Failure>> {
        match self {
            Self::Test(args) => Some(args.for_net(format)),
            Self::Run(_) => Some(Ok(given.to_vec())),
            _ => None,
        }
    }
}

impl TestArgs {
    /// The settings travel as the API has them, so that they are options of one program.
    fn for_net(&self, format: Format) -> Result<Vec<OsString>, Failure> {
        let source = absolute(self.source.clone())?;
        let feed = self.settings.edit(None).of(&Feed::new(&source));
        let problem = |problem| Failure::new(format!("{problem}"));
        feed.check().map_err(problem)?;
        let settings = serde_json::to_string(&feed);
        let settings = settings.map_err(|error| Failure::new(error.to_string()))?;
        let mut args: Vec<OsString> = vec!["feed".into(), "test".into(), settings.into()];
        if format == Format::Json {
            args.extend(["--output".into(), "json".into()]);
        }
        if let Some(ca) = &self.net.ca {
            args.extend(["--ca".into(), ca.into()]);
        }
        Ok(args)
    }
}

pub(super) async fn run(command: FeedCommand, cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    match command {
        FeedCommand::List => {
            let feeds = cx.client.feeds().await?;
            cx.print(feeds.as_slice())?;
        }
        FeedCommand::Show { name } => {
            let feed = find(&name, cx.client.feeds().await?)?;
            cx.print(&feed)?;
        }
        FeedCommand::Create(args) => return create(*args, cx).await,
        FeedCommand::Alter(args) => return alter(*args, cx).await,
        FeedCommand::Drop { name, safety } => {
            // A list of another kind is not dropped by this command.
            let feed = find(&name, cx.client.feeds().await?)?;
            return submit(&Change::DropList { name: feed.name }, &safety, cx).await;
        }
        FeedCommand::Refresh { name } => return refresh(&name, cx).await,
        FeedCommand::Test(_) | FeedCommand::Run(_) => {
            return Err(not_here().into());
        }
    }
    Ok(Exit::Done)
}

async fn create(args: CreateFeedArgs, cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    let change = Change::CreateFeed {
        name: args.name,
        settings: args.settings.edit(Some(absolute(args.source)?)),
        comment: args.comment,
    };
    submit(&change, &args.safety, cx).await
}

async fn alter(args: AlterFeedArgs, cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    let source = args.source.map(absolute).transpose()?;
    let settings = args.settings.edit(source);
    if settings == FeedEdit::default() && args.comment.is_none() {
        return Err(Failure {
            exit: Exit::Usage,
            ..Failure::new("nothing to alter: no setting is named")
                .hint("`netpolicy feed alter --help` lists the settings")
        }
        .into());
    }
    let change = Change::AlterFeed {
        name: args.name,
        settings,
        comment: args.comment,
    };
    submit(&change, &args.safety, cx).await
}

/// A URL as it is, the path of a file from the root.
fn absolute(source: String) -> Result<String, Failure> {
    if source.contains("://") {
        return Ok(source);
    }
    let path = std::path::absolute(&source);
    let path = path.map_err(|error| Failure::new(format!("{source}: {error}")))?;
    let text = path.into_os_string().into_string();
    text.map_err(|_| Failure::new(format!("{source}: a path in UTF-8 was expected")))
}

async fn refresh(name: &str, cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    let before = cx.client.refresh_feed(name).await?;
    let deadline = Instant::now() + before.settings.timeout() + PATIENCE;
    loop {
        let feed = find(&before.name, cx.client.feeds().await?)?;
        if (feed.checked, feed.failed) != (before.checked, before.failed) {
            let failed = feed.error.clone();
            cx.options.now = jiff::Timestamp::now();
            cx.print(&feed)?;
            return match failed {
                None => Ok(Exit::Done),
                Some(error) => Err(Failure::new(format!(
                    "feed '{name}' was not refreshed: {error}; what is in force stays"
                ))
                .into()),
            };
        }
        if Instant::now() > deadline {
            return Err(
                Failure::new(format!("feed '{name}' was not refreshed in time"))
                    .hint("is netpolicy-feed.service running? `systemctl status netpolicy-feed`")
                    .into(),
            );
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn find(name: &str, feeds: Vec<FeedView>) -> Result<FeedView, Failure> {
    let names: Vec<_> = feeds.iter().map(|feed| feed.name.clone()).collect();
    let found = feeds.into_iter();
    let mut found = found.filter(|feed| feed.name.eq_ignore_ascii_case(name));
    found.next().ok_or_else(|| {
        let meant = closest(name, names.iter().map(String::as_str));
        let meant = meant.map(|name| format!("; did you mean '{name}'?"));
        let name = name.escape_debug();
        Failure::new(format!(
            "unknown feed '{name}'{}",
            meant.unwrap_or_default()
        ))
        .hint("`netpolicy feed list` shows what there is")
    })
}

/// What the other program does is not done here.
pub(super) fn not_here() -> Failure {
    Failure::new(format!("{NET} does this"))
}

/// Becomes the other program, with the same arguments; returns if it cannot. That one reads no
/// configuration: it learns of `socket` by its variable, which its option overrides.
pub(super) fn become_net(args: &[OsString], socket: &Path) -> Failure {
    let program = match net_program() {
        Ok(program) => program,
        Err(failure) => return failure,
    };
    let mut command = Command::new(&program);
    command.args(args).env("NETPOLICY_SOCKET", socket);
    let error = command.exec();
    Failure::new(format!("cannot run {}: {error}", program.display()))
}

/// Where the other program is.
///
/// # Errors
/// It is not installed.
pub(super) fn net_program() -> Result<PathBuf, Failure> {
    let own = std::env::current_exe().ok();
    let own = own.as_deref().and_then(Path::parent);
    let places = own.into_iter().chain(LIBEXEC.iter().map(Path::new));
    let places: Vec<PathBuf> = places.map(|dir| dir.join(NET)).collect();
    if let Some(program) = places.iter().find(|path| path.is_file()) {
        return Ok(program.clone());
    }
    let looked: Vec<_> = places
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    Err(Failure::new(format!(
        "{NET} is not installed: it was looked for as {}",
        looked.join(", ")
    ))
    .hint("it is in the same package as netpolicy, and `cargo build -p netpolicy-net` builds it"))
}
