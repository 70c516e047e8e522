//! Tokens: who bears one over TCP, and what may be done with it.

use std::fmt;

use subtle::ConstantTimeEq as _;

/// The shortest token, in bytes.
const MIN_SECRET: usize = 16;

/// The longest name of a token, in bytes.
const MAX_NAME: usize = 64;

/// The tokens that are known, as they are now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tokens(Vec<Token>);

/// One token.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    name: String,
    secret: String,
    may_write: bool,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("name", &self.name)
            .field("may_write", &self.may_write)
            .finish_non_exhaustive()
    }
}

impl Tokens {
    /// Reads the tokens of clients, and those of viewers, who may read only. One a line: `TOKEN`, or `NAME
    /// TOKEN`; blank lines and lines that begin with `#` are left out. A token without a name is called
    /// `client` or `viewer`.
    ///
    /// # Errors
    /// What is wrong, without the token.
    pub fn read(clients: &str, viewers: &str) -> Result<Self, String> {
        let mut tokens = Vec::new();
        for (text, may_write) in [(clients, true), (viewers, false)] {
            for line in text.lines().map(str::trim_end) {
                if line.trim().is_empty() || line.starts_with('#') {
                    continue;
                }
                let unnamed = if may_write { "client" } else { "viewer" };
                let (name, secret) = line.split_once(' ').unwrap_or((unnamed, line));
                tokens.push(Token::new(name, secret, may_write)?);
            }
        }
        let twice = |(at, one): (usize, &Token)| tokens[..at].iter().any(|other| other.secret == one.secret);
        match tokens.iter().enumerate().find(|one| twice(*one)) {
            Some((_, token)) => Err(format!("the token of {} is listed twice", token.name)),
            None => Ok(Self(tokens)),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first one: for a client that reads its token from a file with several.
    #[must_use]
    pub fn first(&self) -> Option<&str> {
        self.0.first().map(|token| token.secret.as_str())
    }

    /// The token that was given. Takes the same time for each one that has the length of a known one.
    pub(crate) fn find(&self, given: &[u8]) -> Option<&Token> {
        self.0.iter().fold(None, |found, token| {
            if bool::from(token.secret.as_bytes().ct_eq(given)) { Some(token) } else { found }
        })
    }
}

impl Token {
    fn new(name: &str, secret: &str, may_write: bool) -> Result<Self, String> {
        if secret.len() < MIN_SECRET || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!("it has to have at least {MIN_SECRET} characters, of ASCII, without spaces"));
        }
        if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!("a name of a token has 1 to {MAX_NAME} characters, of ASCII"));
        }
        Ok(Self { name: name.to_owned(), secret: secret.to_owned(), may_write })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn may_write(&self) -> bool {
        self.may_write
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_have_names_and_roles() {
        let text = "# of this host\nci 0123456789abcdef\n\nfedcba9876543210\r\n";
        let tokens = Tokens::read(text, "wall 00112233445566778899\n").unwrap();
        let find = |given: &str| tokens.find(given.as_bytes()).map(|token| (token.name(), token.may_write()));
        assert_eq!(find("0123456789abcdef"), Some(("ci", true)));
        assert_eq!(find("fedcba9876543210"), Some(("client", true)));
        assert_eq!(find("00112233445566778899"), Some(("wall", false)));
        assert_eq!(find("0123456789abcde"), None);
        assert_eq!(find(""), None);
        assert!(!format!("{tokens:?}").contains("0123456789abcdef"));
    }

    #[test]
    fn what_is_no_token_is_refused_without_showing_it() {
        for (clients, viewers) in [
            ("short", ""),
            ("", "short"),
            ("a b cdefghijklmnopqrstuvw", ""),
            (" 0123456789abcdef", ""),
            ("0123456789abcdéf", ""),
            ("0123456789abcdef", "0123456789abcdef"),
        ] {
            let error = Tokens::read(clients, viewers).unwrap_err();
            assert!(!error.contains("0123456789"), "{error}");
        }
        assert!(Tokens::read("", "").unwrap().is_empty());
    }
}
