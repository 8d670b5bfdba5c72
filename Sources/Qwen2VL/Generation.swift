import Kernels
import Tensors

/// Turns a step's output into logits [sequences, vocabulary]: the language head itself, or a
/// verbalizer of an earlier layer.
public typealias LogitsOf = (Qwen2VL.Output) -> Tensor

/// Greedy decoding of several prompts side by side, as transformers' `generate(do_sample=False)`.
/// - stop: tokens that end a sequence; they are not part of the answer.
/// - onToken: called with the prompt's number and each new token, in order of generation.
public func generateGreedily(
  _ model: Qwen2VL, prompts: [ModelSample], maxNewTokens: Int, stop: Set<Int32>,
  layers: Set<Int> = [], logits: LogitsOf? = nil, onToken: (Int, Int32) throws -> Void = { _, _ in }
) rethrows -> [[Int32]] {
  let tape = Tape(recording: false)
  let logitsOf = logits ?? { model.logits($0.last, tape: tape) }
  var answers = [[Int32]](repeating: [], count: prompts.count)
  guard !prompts.isEmpty, maxNewTokens > 0 else { return answers }
  var (session, output) = DecodingSession.start(
    model, prompts: prompts, layers: layers, capacity: maxNewTokens)
  var active = Array(prompts.indices)
  for position in 0..<maxNewTokens {
    let scores = logitsOf(output)
    var going: [Int] = [], tokens: [Int32] = []
    for (row, prompt) in active.enumerated() {
      let token = argmax(scores.values + row * scores.columns, scores.columns)
      if stop.contains(token) { continue }
      answers[prompt].append(token)
      try onToken(prompt, token)
      going.append(row)
      tokens.append(token)
    }
    if going.isEmpty || position + 1 == maxNewTokens { break }
    if going.count < active.count { session.keep(going) }
    active = going.map { active[$0] }
    output = session.step(tokens)
  }
  return answers
}

/// The place of the largest of `count` numbers; the first among equals.
func argmax(_ values: UnsafePointer<Float>, _ count: Int) -> Int32 {
  var best = 0
  for i in 1..<max(1, count) where values[i] > values[best] { best = i }
  return Int32(best)
}
