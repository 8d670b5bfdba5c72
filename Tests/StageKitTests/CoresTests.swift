import TestSupport
import Testing

@testable import StageKit

/// What the scheduler, OpenMP, the affinity mask and the control groups say decides threads and memory.
@Suite struct CoresTests {
  @Test func `what was asked for, within what may be used`() {
    func own(_ environment: [String: String], usable: Int = 8, online: Int = 16) -> Int {
      Cores.own(environment, usable: usable, online: online)
    }
    #expect(own([:]) == 8)
    #expect(own(["OMP_NUM_THREADS": "3"]) == 3)
    #expect(own(["OMP_NUM_THREADS": " 4,2"]) == 4)
    #expect(own(["OMP_NUM_THREADS": "64"]) == 8)
    #expect(own(["OMP_NUM_THREADS": "0"]) == 8)
    #expect(own(["OMP_NUM_THREADS": "many"]) == 8)
    #expect(own(["SLURM_CPUS_PER_TASK": "2", "OMP_NUM_THREADS": "5"]) == 2)
    #expect(own(["OMPI_COMM_WORLD_LOCAL_SIZE": "4"]) == 4)
  }

  /// A tree of files of control groups.
  private func groups(_ groups: String, _ mounts: String, _ files: [String: String])
    -> ControlGroups
  {
    ControlGroups(groups: groups, mounts: mounts) { files[$0] }
  }

  private static let unified =
    "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"

  @Test func `version 2, the least of a group and of all that it lies in`() {
    let job = "/system.slice/slurmstepd.scope/job_7"
    let found = groups(
      "0::\(job)/step_0/user/task_0\n", Self.unified,
      [
        "/sys/fs/cgroup\(job)/memory.max": "8000000000\n",
        "/sys/fs/cgroup\(job)/step_0/memory.max": "max\n",
        "/sys/fs/cgroup/system.slice/memory.max": "64000000000\n",
        "/sys/fs/cgroup\(job)/cpu.max": "250000 100000\n",
        "/sys/fs/cgroup/cpu.max": "max 100000\n",
      ])
    #expect(found.memory == 8_000_000_000)
    #expect(found.processors == 3)
  }

  @Test func `version 2 in a container, which sees its own group as the root`() {
    let mount = "30 23 0:26 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n"
    let files = ["/sys/fs/cgroup/memory.max": "4096\n", "/sys/fs/cgroup/cpu.max": "50000 100000"]
    for line in ["0::/docker/abc\n", "0::/\n", "0::/../other\n"] {
      let found = groups(line, mount, files)
      #expect(found.memory == 4096 && found.processors == 1, "\(line)")
    }
  }

  @Test func `version 1, nested, each controller in its own place`() {
    let mounts = """
      33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
      35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
      41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
      """
    let found = groups(
      "4:memory:/slurm/uid_0/job_7/step_0\n2:cpu,cpuacct:/slurm/uid_0/job_7\n0::/\n", mounts,
      [
        "/sys/fs/cgroup/memory/slurm/uid_0/job_7/memory.limit_in_bytes": "5000\n",
        "/sys/fs/cgroup/memory/slurm/uid_0/job_7/step_0/memory.limit_in_bytes":
          "9223372036854771712\n",
        "/sys/fs/cgroup/cpu,cpuacct/slurm/cpu.cfs_quota_us": "-1",
        "/sys/fs/cgroup/cpu,cpuacct/slurm/uid_0/cpu.cfs_quota_us": "400000",
        "/sys/fs/cgroup/cpu,cpuacct/slurm/uid_0/cpu.cfs_period_us": "100000",
      ])
    #expect(found.memory == 5000)
    #expect(found.processors == 4)
  }

  @Test func `without limits, and with files that cannot be read`() {
    for (line, mounts) in [("", ""), ("0::/\n", Self.unified), ("x\n:\n", "a b - c\n")] {
      let found = groups(line, mounts, ["/sys/fs/cgroup/memory.max": "max"])
      #expect(found.memory == nil && found.processors == nil)
    }
  }

  @Test func `what others take, between two looks`() {
    func busy(_ idle: Int, of all: Int) -> String? {
      let (before, after) = ("cpu  10 0 10 100 5 0 0 0 0 0\ncpu0 1", (all - idle) / 2)
      return Cores.busy(
        before, "cpu  \(10 + after) 0 \(10 + after) \(100 + idle) 5 0 0 0 0 0\n", cores: 4)
    }
    #expect(busy(120, of: 120) == nil)
    #expect(busy(114, of: 120) == nil)
    #expect(busy(60, of: 120) == "other programs take 2.0 of this machine’s 4 cores")
    #expect(Cores.busy("", "", cores: 4) == nil)
    #expect(Cores.busy("cpu", "cpu x", cores: 4) == nil)
  }
}
