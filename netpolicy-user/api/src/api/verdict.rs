//! Verdicts and their reasons, phases and engines, as closed sets of words.

use std::borrow::Cow;
use std::fmt;

use netpolicy_common::{Action, Engine, Reason};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
#[cfg(feature = "openapi")]
use utoipa::openapi::RefOr;
#[cfg(feature = "openapi")]
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
#[cfg(feature = "openapi")]
use utoipa::{PartialSchema, ToSchema};

macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(ToSchema))]
        #[serde(rename_all = "kebab-case")]
        pub enum $name { $($(#[$doc])* $variant,)* }

        impl $name {
            /// As JSON and output have it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

words! {
    /// What happens to a packet.
    PacketAction {
        /// On to the kernel's network stack.
        Pass = "pass",
        /// Dropped.
        Drop = "drop",
    }
}

words! {
    /// What becomes of a connection attempt.
    Verdict {
        /// It reaches the kernel's network stack.
        Pass = "pass",
        /// It is dropped.
        Drop = "drop",
        /// What is attached cannot be read.
        Unknown = "unknown",
    }
}

words! {
    /// How the kernel holds lists.
    EngineName {
        /// Tables and tries made for speed.
        Flat = "flat",
        /// The kernel's own LPM tries.
        Lpm = "lpm",
    }
}

words! {
    /// What the agent's writer is doing.
    #[derive(Default)]
    Phase {
        /// Nothing.
        #[default]
        Idle = "idle",
        /// Text to model.
        Checking = "checking",
        /// Model to ruleset.
        Compiling = "compiling",
        /// Ruleset to kernel.
        Filling = "filling",
        /// Model to store.
        Storing = "storing",
        /// Comparing the kernel's lists with the ruleset.
        Verifying = "verifying",
    }
}

impl From<Action> for PacketAction {
    fn from(action: Action) -> Self {
        match action {
            Action::Pass => Self::Pass,
            Action::Drop => Self::Drop,
        }
    }
}

impl From<PacketAction> for Verdict {
    fn from(action: PacketAction) -> Self {
        match action {
            PacketAction::Pass => Self::Pass,
            PacketAction::Drop => Self::Drop,
        }
    }
}

impl From<Engine> for EngineName {
    fn from(engine: Engine) -> Self {
        match engine {
            Engine::Flat => Self::Flat,
            Engine::Lpm => Self::Lpm,
        }
    }
}

/// Why an attempt passes or is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The program judged it so.
    Judged(Reason),
    /// Nothing filters it.
    NotFiltered,
    /// What is attached cannot be read; or a reason of another version.
    Unknown,
}

impl Cause {
    /// As JSON and output have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Judged(reason) => reason.name(),
            Self::NotFiltered => "not-filtered",
            Self::Unknown => "unknown",
        }
    }

    fn all() -> impl Iterator<Item = Self> {
        let reasons = Reason::ALL.iter().copied().map(Self::Judged);
        reasons.chain([Self::NotFiltered, Self::Unknown])
    }
}

impl From<Reason> for Cause {
    fn from(reason: Reason) -> Self {
        Self::Judged(reason)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for Cause {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Cause {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        let found = Self::all().find(|cause| cause.as_str() == text);
        Ok(found.unwrap_or(Self::Unknown))
    }
}

#[cfg(feature = "openapi")]
impl ToSchema for Cause {
    fn name() -> Cow<'static, str> {
        "Cause".into()
    }
}

#[cfg(feature = "openapi")]
impl PartialSchema for Cause {
    fn schema() -> RefOr<Schema> {
        let about = "Why an attempt passes or is dropped: a reason of the program, not-filtered, \
                     or unknown.";
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some(about))
            .enum_values(Some(Self::all().map(Self::as_str)))
            .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// For the values that tests make.
    macro_rules! from_str {
        ($($name:ident)*) => {$(
            impl From<&str> for $name {
                fn from(text: &str) -> Self {
                    serde_json::from_value(text.into()).unwrap()
                }
            }
        )*};
    }

    from_str! { PacketAction Verdict EngineName Phase Cause }

    #[test]
    fn causes_are_the_reasons_names_and_two_more() {
        for &reason in Reason::ALL {
            let cause = Cause::from(reason.name());
            assert_eq!(cause, Cause::Judged(reason));
            assert_eq!(serde_json::to_value(cause).unwrap(), reason.name());
        }
        for cause in [Cause::NotFiltered, Cause::Unknown] {
            assert_eq!(Cause::from(cause.as_str()), cause);
        }
        assert_eq!(Cause::from("a-reason-of-tomorrow"), Cause::Unknown);
    }

    #[cfg(feature = "openapi")]
    #[test]
    fn words_are_the_same_in_json_output_and_openapi() {
        fn check<T: Serialize + PartialSchema>(words: &[(T, &str)]) {
            let schema = serde_json::to_value(T::schema()).unwrap();
            let listed: Vec<_> = schema["enum"].as_array().unwrap().iter().collect();
            assert_eq!(
                listed,
                words.iter().map(|(_, text)| text).collect::<Vec<_>>()
            );
            for (word, text) in words {
                assert_eq!(serde_json::to_value(word).unwrap(), *text);
            }
        }
        let told = |word: PacketAction| (word, word.as_str());
        check(&[told(PacketAction::Pass), told(PacketAction::Drop)]);
        let told = |word: Verdict| (word, word.as_str());
        check(&[
            told(Verdict::Pass),
            told(Verdict::Drop),
            told(Verdict::Unknown),
        ]);
        let told = |word: EngineName| (word, word.as_str());
        check(&[told(EngineName::Flat), told(EngineName::Lpm)]);
        let phases = [
            Phase::Idle,
            Phase::Checking,
            Phase::Compiling,
            Phase::Filling,
            Phase::Storing,
            Phase::Verifying,
        ];
        check(&phases.map(|phase| (phase, phase.as_str())));
        let causes: Vec<_> = Cause::all().map(|cause| (cause, cause.as_str())).collect();
        check(&causes);
    }
}
