import Foundation
import Glibc
import Testing

/// The scripts that bring up a private Slurm cluster and use it, where that can be had.
@Suite(.serialized) struct ClusterTests {
  @Test(
    "Stages are spread over processes, nodes and ranks, lose some of them, and end as they should",
    arguments: ["fanout-test.sh", "pipeline-test.sh"])
  func cluster(script: String) throws {
    // Threads of a pool block signals, and what they start would never hear one.
    var all = sigset_t()
    sigfillset(&all)
    pthread_sigmask(SIG_UNBLOCK, &all, nil)
    let outcome = try run(
      "/bin/bash",
      ["\(repository)/Tests/Cluster/\(script)"] + (script == "pipeline-test.sh" ? [programs] : []))
    if outcome.code == 77 {
      print("skipped \(script): \(outcome.output.split(separator: "\n").last ?? "")")
      return
    }
    #expect(outcome.code == 0, "\(outcome.output)\(outcome.errors)")
  }
}
