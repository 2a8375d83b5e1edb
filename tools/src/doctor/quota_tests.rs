//! Control groups of hosts that nobody has here, from the texts of their files.

use std::collections::BTreeMap;

use super::super::finding::Verdict;
use super::*;

/// A host with systemd and cgroup v2 alone.
const V2_MOUNTS: &str = "25 30 0:23 / /sys rw,relatime - sysfs sysfs rw\n\
    32 25 0:28 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
const V2_GROUP: &str = "0::/user.slice/user-1000.slice/session-2.scope\n";
/// One with a hierarchy for each controller, and v2 without any.
const V1_MOUNTS: &str = "33 25 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n\
    35 25 0:31 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
    36 25 0:32 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n";
const V1_GROUP: &str = "5:cpuset:/\n4:cpu,cpuacct:/system.slice/a.service\n0::/system.slice\n";
/// A container on such a host: the part of the tree that it sees is mounted.
const DOCKER_MOUNTS: &str =
    "719 718 0:31 /docker/4f2a /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct\n";
const DOCKER_GROUP: &str = "4:cpu,cpuacct:/docker/4f2a\n0::/docker/4f2a\n";

fn paths(levels: &Levels) -> Vec<&str> {
    levels.folders.iter().filter_map(|folder| folder.to_str()).collect()
}

/// The tightest bound among files as they are given.
fn found(levels: &Levels, files: &[(&str, &str)]) -> Option<Quota> {
    let files: BTreeMap<_, _> = files.iter().copied().collect();
    tightest(levels, |folder, name| files.get(folder.join(name).to_str()?).map(ToString::to_string))
}

#[test]
fn every_level_up_to_the_mount_is_found() {
    let v2 = levels(V2_GROUP, V2_MOUNTS, "cpu").unwrap();
    assert!(v2.is_v2);
    assert_eq!(
        paths(&v2),
        [
            "/sys/fs/cgroup/user.slice/user-1000.slice/session-2.scope",
            "/sys/fs/cgroup/user.slice/user-1000.slice",
            "/sys/fs/cgroup/user.slice",
            "/sys/fs/cgroup",
        ]
    );
    let v1 = levels(V1_GROUP, V1_MOUNTS, "cpu").unwrap();
    assert!(!v1.is_v2);
    assert_eq!(paths(&v1)[0], "/sys/fs/cgroup/cpu,cpuacct/system.slice/a.service");
    let docker = levels(DOCKER_GROUP, DOCKER_MOUNTS, "cpu").unwrap();
    assert_eq!(paths(&docker), ["/sys/fs/cgroup/cpu,cpuacct"]);
    assert_eq!(levels(V1_GROUP, "", "cpu"), None);
    assert_eq!(levels("", V2_MOUNTS, "cpu"), None);
    for line in ["", " - ", "1 2 3 4 5 6 - a", "32 25 0:28 / /x - cgroup2"] {
        assert_eq!(levels(V2_GROUP, line, "cpu"), None, "{line}");
    }
}

#[test]
fn the_tightest_level_counts_and_is_what_the_fix_lifts() {
    let v2 = levels(V2_GROUP, V2_MOUNTS, "cpu").unwrap();
    let quota = found(
        &v2,
        &[
            ("/sys/fs/cgroup/user.slice/user-1000.slice/session-2.scope/cpu.max", "max 100000"),
            ("/sys/fs/cgroup/user.slice/user-1000.slice/cpu.max", "150000 100000"),
            ("/sys/fs/cgroup/user.slice/cpu.max", "50000 100000"),
            ("/sys/fs/cgroup/user.slice/cpu.stat", "usage_usec 1\nnr_periods 9\nnr_throttled 7\n"),
        ],
    );
    let found = judge(quota.as_ref(), Seal::Open, 2);
    assert_eq!(found.verdict, Verdict::Limit);
    assert_eq!(found.value, "0.50 cores of 2, stopped 7 times so far");
    let lift = "echo max | sudo tee /sys/fs/cgroup/user.slice/cpu.max".to_owned();
    assert_eq!(found.fix, Some(Fix::Machine(lift)));
}

#[test]
fn version_1_has_its_own_files_and_its_own_word_for_none() {
    let v1 = levels(V1_GROUP, V1_MOUNTS, "cpu").unwrap();
    let own = "/sys/fs/cgroup/cpu,cpuacct/system.slice/a.service";
    let file = |name: &str| format!("{own}/{name}");
    let (quota_us, period_us) = (file("cpu.cfs_quota_us"), file("cpu.cfs_period_us"));
    let quota = |micros| found(&v1, &[(&quota_us, micros), (&period_us, "100000")]);
    assert_eq!(quota("-1"), None);
    let found = judge(quota("400000").as_ref(), Seal::Open, 8);
    assert_eq!(found.verdict, Verdict::Limit);
    assert!(found.meaning.contains("each 100 ms"), "{}", found.meaning);
    let lift = format!("echo -1 | sudo tee {quota_us}");
    assert_eq!(found.fix, Some(Fix::Machine(lift)));
    assert_eq!(judge(quota("400000").as_ref(), Seal::Open, 4).verdict, Verdict::Note);
}

#[test]
fn a_container_is_started_anew() {
    let docker = levels(DOCKER_GROUP, DOCKER_MOUNTS, "cpu").unwrap();
    let quota = found(
        &docker,
        &[
            ("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "50000"),
            ("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000"),
        ],
    );
    let found = judge(quota.as_ref(), Seal::Container, 2);
    assert!(matches!(found.fix, Some(Fix::Here(line)) if line.contains("without --cpus")));
}

#[test]
fn no_bound_no_files_and_nonsense_are_no_quota() {
    let v2 = levels(V2_GROUP, V2_MOUNTS, "cpu").unwrap();
    let top = "/sys/fs/cgroup/cpu.max";
    for text in ["max 100000", "", "x y", "1000 0", "50000"] {
        assert_eq!(found(&v2, &[(top, text)]), None, "{text}");
    }
    assert_eq!(judge(None, Seal::Open, 2).verdict, Verdict::Ok);
}
