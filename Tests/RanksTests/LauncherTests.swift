import Failures
import Testing

@testable import Ranks

@Suite("What a launcher left in the environment")
struct LauncherTests {
  private func find(_ variables: [String: String]) throws -> Launcher? {
    try Launcher.find { variables[$0] }
  }

  @Test("Each launcher's processes are known, and how many there are")
  func families() throws {
    #expect(
      try find(["OMPI_COMM_WORLD_SIZE": "2", "PMIX_RANK": "0"])
        == Launcher(family: .openMPI, count: 2))
    #expect(try find(["PMI_RANK": "1", "PMI_SIZE": "3"]) == Launcher(family: .mpich, count: 3))
    let step = ["SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "4"]
    #expect(
      try find(step.merging(["PMIX_RANK": "2"]) { $1 }) == Launcher(family: .openMPI, count: 4))
    #expect(try find(["PMIX_RANK": "2"]) == Launcher(family: .openMPI, count: nil))
  }

  @Test("mpirun inside a step of srun is what counts")
  func nested() throws {
    let step = ["SLURM_STEP_NUM_TASKS": "2", "PMIX_RANK": "0"]
    let hydra = step.merging(["PMI_RANK": "0", "PMI_SIZE": "6"]) { $1 }
    #expect(try find(hydra) == Launcher(family: .mpich, count: 6))
    let single = ["OMPI_COMM_WORLD_SIZE": "4", "SLURM_STEP_NUM_TASKS": "1"]
    #expect(try find(single) == Launcher(family: .openMPI, count: 4))
  }

  @Test(
    "Nobody, a batch script and one process are alone",
    arguments: [
      [:], ["SLURM_JOB_ID": "7", "SLURM_NTASKS": "4", "SLURM_NPROCS": "4"],
      ["SLURM_STEP_NUM_TASKS": "1", "SLURM_STEP_ID": "0", "SLURM_NTASKS": "4"],
      ["OMPI_COMM_WORLD_SIZE": "1", "PMIX_RANK": "0"], ["PMI_RANK": "0", "PMI_SIZE": "1"],
      ["PMIX_RANK": "0", "SLURM_STEP_NUM_TASKS": "1"],
    ] as [[String: String]])
  func alone(variables: [String: String]) throws {
    #expect(try find(variables) == nil)
  }

  @Test("Tasks of srun that know nothing of each other are refused")
  func unconnected() {
    for variables in [
      ["SLURM_STEP_NUM_TASKS": "4"],
      ["SLURM_STEP_ID": "0", "SLURM_STEP_LAUNCHER_PORT": "1", "SLURM_NTASKS": "4"],
    ] {
      let failure = #expect(throws: Failure.self) { try find(variables) }
      #expect(failure?.code == .usage)
      #expect(failure?.description.contains("--mpi=pmix") == true)
    }
  }

  @Test("MPI that sees other processes than were launched is refused")
  func mixed() throws {
    let launcher = Launcher(family: .openMPI, count: 2)
    try launcher.check(size: 2, library: "")
    try Launcher(family: .openMPI, count: nil).check(size: 5, library: "")
    let failure = #expect(throws: Failure.self) { try launcher.check(size: 1, library: "MPICH") }
    #expect(failure?.code == .usage)
  }

  @Test("Patience is a number of seconds")
  func patience() throws {
    #expect(try Ranks.patience(nil) == 600)
    #expect(try Ranks.patience("0") == 0)
    #expect(try Ranks.patience("2.5") == 2.5)
    for wrong in ["-1", "long", "inf", "nan", ""] {
      #expect(throws: Failure.self) { try Ranks.patience(wrong) }
    }
  }
}
