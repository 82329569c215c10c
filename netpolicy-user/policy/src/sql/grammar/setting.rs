//! ALTER of account, user, instance and system: which policy is in force where.

use super::super::lexer::{Token, TokenClass};
use super::super::{AlterUser, Dialect, Ident, Quoting, SystemParameter, Verb};
use super::parameters::Parameters;
use super::{Parsed, Parser, unquoted};

use Dialect::{Lakehouse, Materialize, Snowflake};

const ACTIVATE: &str = "write ALTER NETWORK POLICY n ACTIVATE or INACTIVATE";

impl<'t> Parser<'t> {
    /// After ALTER.
    pub(super) fn alter(&mut self, alter: Token) -> Parsed<Verb<'t>> {
        const WHAT: [&str; 8] = [
            "NETWORK",
            "ACCOUNT",
            "USER",
            "SYSTEM",
            "SESSION",
            "SECURITY",
            "ORGANIZATION",
            "POSTGRES",
        ];
        if self.is_group("ALTER of a group")? {
            return self.alter_group(alter);
        }
        let token = self.peek()?;
        let what = self.which(token, &WHAT);
        match what {
            Some("ACCOUNT") => self.alter_account(alter, token),
            Some("USER") => self.alter_user(alter, token),
            Some("SYSTEM") => self.alter_system(alter, token),
            Some("NETWORK") => {
                if self.is_network_rule()? {
                    return self.alter_rule();
                }
                self.alter_policy()
            }
            Some("SESSION") if self.dialect == Snowflake => self.alter_session(alter),
            Some("POSTGRES") if self.dialect == Snowflake => {
                self.take()?;
                self.word("INSTANCE")?;
                self.alter_service(alter, "ALTER POSTGRES INSTANCE")
            }
            Some("SECURITY") if self.dialect == Snowflake => Err(self.no_counterpart(
                token,
                "ALTER SECURITY INTEGRATION",
                "a host has no security integrations: a policy governs the host or a service",
                Some("write ALTER ACCOUNT or ALTER USER … SET NETWORK_POLICY = n"),
            )),
            Some("ORGANIZATION") if self.dialect == Snowflake => Err(self.no_counterpart(
                token,
                "ALTER ORGANIZATION ACCOUNT",
                "a host belongs to no organization",
                Some("write ALTER ACCOUNT SET NETWORK_POLICY = n"),
            )),
            _ => Err(self.expected_word(
                token,
                match self.dialect {
                    Snowflake => &["NETWORK", "ACCOUNT", "USER", "SESSION"],
                    Materialize => &["NETWORK", "SYSTEM"],
                    Lakehouse => &["NETWORK", "USER"],
                },
            )),
        }
    }

    fn alter_account(&mut self, alter: Token, token: Token) -> Parsed<Verb<'t>> {
        self.snowflake_only(token, "ALTER ACCOUNT")?;
        self.take()?;
        let parameters = self.set_or_unset()?;
        match parameters {
            Parameters {
                policy: None,
                minutes: None,
                ..
            } => {
                let what = "ALTER ACCOUNT";
                let text = self.text_since(alter);
                Ok(Verb::Session { what, text })
            }
            Parameters {
                policy: Some(policy),
                minutes: None,
                ..
            } => Ok(policy.map_or(Verb::ResetHostPolicy, Verb::SetHostPolicy)),
            _ => Err(self.no_counterpart(
                token,
                "MINS_TO_BYPASS_NETWORK_POLICY",
                "an account has no bypass",
                Some("write ALTER USER u SET MINS_TO_BYPASS_NETWORK_POLICY = m"),
            )),
        }
    }

    /// SET or UNSET with its parameters, of which those that have no effect are noted.
    fn set_or_unset(&mut self) -> Parsed<Parameters<'t>> {
        let (verb, _) = self.one_of(&["SET", "UNSET"])?;
        let parameters = match verb {
            "SET" => self.set_parameters()?,
            _ => self.unset_parameters()?,
        };
        self.note_others(&parameters);
        Ok(parameters)
    }

    fn alter_user(&mut self, alter: Token, token: Token) -> Parsed<Verb<'t>> {
        self.not_in_materialize(token, "ALTER USER")?;
        self.take()?;
        self.alter_service(alter, "ALTER USER")
    }

    /// After ALTER USER or ALTER POSTGRES INSTANCE.
    fn alter_service(&mut self, alter: Token, what: &'static str) -> Parsed<Verb<'t>> {
        let if_exists = self.if_exists()?.is_some();
        let service = self.ident("a service's name")?;
        let token = self.peek()?;
        if self.dialect == Snowflake
            && let Some(verb) = self.which(
                token,
                &[
                    "RENAME", "RESET", "ADD", "MODIFY", "REMOVE", "ROTATE", "ABORT", "DISABLE",
                    "SUSPEND", "RESUME",
                ],
            )
        {
            return Err(self.no_counterpart(
                token,
                format!("{what} … {verb}"),
                "a user is a service here, which has a network policy and no passwords, tokens \
                 or sessions",
                None,
            ));
        }
        let parameters = self.set_or_unset()?;
        if self.dialect == Snowflake && self.take_word("APPLY")?.is_some() {
            // When an instance follows; here that is at once.
            self.skip_rest()?;
        }
        let change = match (parameters.policy, parameters.minutes) {
            (Some(Some(policy)), None) => AlterUser::SetPolicy(policy),
            (Some(None), None) => AlterUser::UnsetPolicy,
            (None, Some((_, spot))) if self.dialect == Lakehouse => {
                let what = "MINS_TO_BYPASS_NETWORK_POLICY";
                let token = Token { spot, ..token };
                return self.foreign(token, what, &[Snowflake], "use `netpolicy bypass`");
            }
            (None, Some((minutes, spot))) => AlterUser::Bypass { minutes, spot },
            (None, None) => {
                let text = self.text_since(alter);
                return Ok(Verb::Session { what, text });
            }
            _ => {
                return Err(self.no_counterpart(
                    token,
                    "NETWORK_POLICY with MINS_TO_BYPASS_NETWORK_POLICY",
                    "one makes a revision and the other a bypass, which does not go with it",
                    Some("write a statement for each"),
                ));
            }
        };
        Ok(Verb::AlterUser {
            if_exists,
            service,
            change,
        })
    }

    fn alter_system(&mut self, alter: Token, token: Token) -> Parsed<Verb<'t>> {
        if self.dialect != Materialize {
            let instead = match self.dialect {
                Lakehouse => ACTIVATE,
                _ => "write ALTER ACCOUNT SET NETWORK_POLICY = n",
            };
            return self.foreign(token, "ALTER SYSTEM", &[Materialize], instead);
        }
        self.take()?;
        let (verb, _) = self.one_of(&["SET", "RESET"])?;
        let token = self.take()?;
        match self.setting(token) {
            Some(SystemParameter::Policy) => {}
            Some(setting) => return self.alter_fixed(alter, token, setting, verb == "SET"),
            None => return Err(self.expected_word(token, &["NETWORK_POLICY"])),
        }
        if verb == "RESET" {
            return Ok(Verb::ResetHostPolicy);
        }
        self.equals_or_to()?;
        let token = self.peek()?;
        if token.kind != TokenClass::Str {
            return self.policy_name().map(Verb::SetHostPolicy);
        }
        self.take()?;
        let name = Ident::new(unquoted(self.lexer.str(token)), Quoting::Single, token.spot);
        match name.fault(self.dialect) {
            Some(fault) => Err(self.error(token.spot, fault)),
            None => Ok(Verb::SetHostPolicy(name)),
        }
    }

    /// Settings take TO as well as `=`, and strings as well as names.
    pub(super) fn equals_or_to(&mut self) -> Parsed<()> {
        if self.take_word("TO")?.is_none() {
            self.expect(TokenClass::Eq, "'=' or TO")?;
        }
        Ok(())
    }

    /// Settings of Materialize that are fixed here: they may be set to what they are.
    fn alter_fixed(
        &mut self,
        alter: Token,
        token: Token,
        setting: SystemParameter,
        is_set: bool,
    ) -> Parsed<Verb<'t>> {
        let name = setting.name();
        if is_set {
            self.equals_or_to()?;
            let value = self.take()?;
            let text = match value.kind {
                TokenClass::Str => unquoted(self.lexer.str(value)),
                _ => self.lexer.str(value),
            };
            let is = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
            if setting != SystemParameter::Enabled && !is(&["25"]) {
                return Err(self.no_counterpart(
                    token,
                    name,
                    "the limits of this dialect are fixed: 25 policies with 25 rules each",
                    Some("other dialects and the policy file take more"),
                ));
            }
            if is(&["off", "false", "f", "0", "no"]) {
                return Err(self.no_counterpart(
                    token,
                    "enable_network_policies = off",
                    "network policies are always on",
                    Some("ALTER SYSTEM RESET network_policy lets every source in"),
                ));
            }
            if setting == SystemParameter::Enabled && !is(&["on", "true", "t", "1", "yes"]) {
                return Err(self.expected(value, "on or off"));
            }
        }
        self.notes.push(match setting {
            SystemParameter::Enabled => format!("{name} has no effect here: they are always on"),
            _ => format!("{name} has no effect here: it is always 25"),
        });
        let what = "ALTER SYSTEM";
        let text = self.text_since(alter);
        Ok(Verb::Session { what, text })
    }

    /// Refuses what only Snowflake has.
    pub(super) fn snowflake_only(&self, token: Token, what: &str) -> Parsed<()> {
        let instead = match self.dialect {
            Snowflake => return Ok(()),
            Materialize => "write ALTER SYSTEM SET network_policy = n",
            Lakehouse => ACTIVATE,
        };
        self.foreign(token, what, &[Snowflake], instead)
    }
}
