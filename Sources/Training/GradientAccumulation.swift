import Models
import Tensors

extension ExampleBatch {
  /// One forward and backward pass over the batch: adds the gradients of what `losses` returns to
  /// the parameters that learn. Nothing of the pass is kept.
  /// - Parameters:
  ///   - layers: the decoder blocks, from 1, whose outputs the losses read too
  ///   - visual: merged visual embeddings computed before [visual tokens, d]
  ///   - recomputing: what keeps only its inputs for the gradient
  ///   - completed: called when the gradients of a decoder block, from 0, are complete
  ///   - losses: tensors of one element each, of the model's outputs at `rows`
  /// - Returns: the sum of the losses.
  public func accumulateGradients(
    in model: VisionLanguageModel, layers: Set<Int> = [], visual: Tensor? = nil,
    recomputing: VisionLanguageModel.Recomputation = .none,
    completed: ((_ block: Int) -> Void)? = nil,
    losses: (Tape, VisionLanguageModel.Output) throws -> [Tensor]
  ) rethrows -> Double {
    let tape = Tape(recording: true)
    // The outputs have no name: on the way back only the tape holds what the forward pass made.
    let found = try losses(
      tape,
      model.forward(
        batch, tape: tape, layers: layers, rows: rows, visual: visual,
        recomputing: recomputing, completed: completed))
    let sum = found.reduce(0.0) { $0 + Double($1.scalar) }
    tape.backward(found)
    return sum
  }
}

/// One forward pass of an optimizer step.
public struct TrainingPass {
  /// Its place in the step, from 0.
  public let number: Int
  public let examples: [Example]
  public let batch: ExampleBatch
  /// What its sums over positions are divided by: the supervised positions of the whole step.
  public let normaliser: Float
}

extension MicroBatches {
  /// The gradients of one optimizer step, pass after pass: each reads its examples, runs the model
  /// forward, and passes its losses back. Only one pass is in memory at a time. Each rank takes its
  /// share of the passes, and in the last of them the sums over ranks begin.
  /// - Parameters:
  ///   - training: whose gradients they are
  ///   - visual: the examples' visual embeddings; nil encodes their images
  ///   - recomputing: what a pass over these samples keeps only inputs of
  ///   - losses: those of a pass, each a sum over positions divided by `TrainingPass.normaliser`
  /// - Returns: the loss of this rank's passes, the sum of all of them.
  /// - Throws: what `ExampleReader.example` and the closures throw.
  public func accumulateGradients(
    in model: VisionLanguageModel, for training: ParallelOptimizers, layers: Set<Int> = [],
    visual: VisualEmbeddings? = nil,
    recomputing: ([ExampleReader.Size]) -> VisionLanguageModel.Recomputation,
    losses: (TrainingPass, Tape, VisionLanguageModel.Output) throws -> [Tensor]
  ) throws -> Double {
    var sum = 0.0
    let own = training.passes(tokens, of: step)
    for number in own {
      let indices = passes[number]
      let examples = try indices.map { try reader.example($0, patches: visual == nil) }
      let pass = TrainingPass(
        number: number, examples: examples, batch: try ExampleBatch(examples, model: model),
        normaliser: supervisedPositions)
      sum += try pass.batch.accumulateGradients(
        in: model, layers: layers, visual: try visual?.tensor(of: examples),
        recomputing: recomputing(try indices.map(reader.size)),
        completed: number == own.last ? training.completed : nil
      ) { try losses(pass, $0, $1) }
    }
    training.completedPasses()
    return sum
  }
}
