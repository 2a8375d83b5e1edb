//! On which cores server and probes run: apart, where two may be used. On one
//! core every reply waits for a switch between them, which is another thing to
//! measure.

use nearlight::sys::affinity::{allowed_cpus, check};

/// The cores; `None` is wherever the scheduler likes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Of a private server, unless its setting says `cpus`.
    pub(crate) server: Option<usize>,
    /// Of the thread that sends and hears the probes.
    pub(crate) probes: Option<usize>,
}

impl Place {
    /// What was asked for, else for a private server the first core that may be
    /// used for the probes and the next one for the server.
    ///
    /// # Errors
    /// A core that was asked for may not be used here.
    pub(crate) fn choose(
        server: Option<usize>,
        probes: Option<usize>,
        has_server: bool,
    ) -> Result<Self, String> {
        for (option, cpu) in [("--server-cpu", server), ("--cpu", probes)] {
            if let Some(cpu) = cpu {
                check(cpu).map_err(|why| format!("{option}: {why}"))?;
            }
        }
        if !has_server {
            return Ok(Self { server: None, probes });
        }
        Ok(Self::among(&allowed_cpus().unwrap_or_default(), server, probes))
    }

    fn among(allowed: &[usize], server: Option<usize>, probes: Option<usize>) -> Self {
        let other = |than: Option<usize>| {
            let free = allowed.iter().copied().find(|&cpu| Some(cpu) != than);
            free.or(allowed.first().copied())
        };
        let probes = probes.or_else(|| other(server));
        Self { server: server.or_else(|| other(probes)), probes }
    }

    /// Where they are, for people.
    pub(crate) fn describe(&self) -> String {
        match (self.server, self.probes) {
            (Some(server), Some(probes)) if server == probes => {
                format!(
                    "server and probes share cpu {server}: times include switching between them"
                )
            }
            (Some(server), Some(probes)) => {
                format!("server on cpu {server}, probes on cpu {probes}")
            }
            (Some(server), None) => format!("server on cpu {server}"),
            (None, Some(probes)) => format!("probes on cpu {probes}"),
            (None, None) => "no thread is pinned".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_and_probes_are_put_apart_where_there_is_room() {
        let place = |allowed: &[usize], server, probes| {
            let place = Place::among(allowed, server, probes);
            (place.server, place.probes)
        };
        assert_eq!(place(&[2, 5, 7], None, None), (Some(5), Some(2)));
        assert_eq!(place(&[2, 5], Some(2), None), (Some(2), Some(5)));
        assert_eq!(place(&[2, 5], None, Some(5)), (Some(2), Some(5)));
        assert_eq!(place(&[2, 5], Some(5), Some(5)), (Some(5), Some(5)));
        assert_eq!(place(&[3], None, None), (Some(3), Some(3)));
        assert_eq!(place(&[], None, None), (None, None));
        assert!(Place::among(&[3], None, None).describe().contains("share cpu 3"));
    }

    #[test]
    fn a_core_that_is_not_ours_is_refused() {
        let error = Place::choose(Some(60_000), None, true).expect_err("no such core");
        assert!(error.contains("--server-cpu: ") && error.contains("allowed: "), "{error}");
        assert_eq!(Place::choose(None, None, false), Ok(Place { server: None, probes: None }));
    }
}
