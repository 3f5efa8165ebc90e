// Text from a stateful Core ML language model: the prompt in chunks, then one token per prediction.
// The caches are Core ML state (https://developer.apple.com/documentation/coreml/mlstate), written in place.
import CoreML
import Foundation
import Tokenizers

/// What `mlx-coreml llm` wrote into the package.
public struct Facts: Decodable, Sendable {
    public let context: Int
    public let prefill: Int
    public let output: String
    public let stopTokens: [Int]

    enum CodingKeys: String, CodingKey {
        case context, prefill, output
        case stopTokens = "stop_tokens"
    }
}

public enum GenerationError: Error {
    case notALanguageModel(URL)
    case promptLength(Int, allowed: ClosedRange<Int>)
    case missingOutput(String)
}

/// Generates text; one series at a time.
public actor TextGenerator {
    public nonisolated let facts: Facts
    public nonisolated let tokenizer: any Tokenizer
    private let decode: MLModel
    private let prefill: MLModel

    /// Loads `__PACKAGE__.mlpackage` and the tokenizer's files beside it.
    public static func load(folder: URL, units: MLComputeUnits = .all) async throws -> TextGenerator {
        let package = folder.appendingPathComponent("__PACKAGE__.mlpackage")
        let compiled = try await MLModel.compileModel(at: package)
        let decode = try await function("decode", of: compiled, units)
        let words = decode.modelDescription.metadata[.creatorDefinedKey] as? [String: String]
        guard let text = words?["language_model"] else { throw GenerationError.notALanguageModel(package) }
        let facts = try JSONDecoder().decode(Facts.self, from: Data(text.utf8))
        let prefill = facts.prefill > 1 ? try await function("prefill", of: compiled, units) : decode
        let tokenizer = try await AutoTokenizer.from(modelFolder: folder)
        return TextGenerator(facts: facts, tokenizer: tokenizer, decode: decode, prefill: prefill)
    }

    private static func function(
        _ name: String, of compiled: URL, _ units: MLComputeUnits
    ) async throws -> MLModel {
        let configuration = MLModelConfiguration()
        configuration.computeUnits = units
        configuration.functionName = name
        return try await MLModel.load(contentsOf: compiled, configuration: configuration)
    }

    init(facts: Facts, tokenizer: any Tokenizer, decode: MLModel, prefill: MLModel) {
        self.facts = facts
        self.tokenizer = tokenizer
        self.decode = decode
        self.prefill = prefill
    }

    /// The tokens of a user's message, in the model's chat template if it has one.
    public nonisolated func tokens(of message: String) throws -> [Int] {
        guard tokenizer.hasChatTemplate else { return tokenizer.encode(text: message) }
        return try tokenizer.applyChatTemplate(messages: [["role": "user", "content": message]])
    }

    /// The answer to a message, piece by piece, until a stop token, `maximum` tokens or the end of the context.
    public nonisolated func stream(
        _ message: String, maximum: Int = 512, temperature: Float = 0
    ) -> AsyncThrowingStream<String, Error> {
        AsyncThrowingStream { continuation in
            let task = Task {
                do {
                    var pieces = Pieces(tokenizer: tokenizer)
                    try await generate(tokens(of: message), maximum: maximum, temperature: temperature) { token in
                        if let piece = pieces.add(token) { continuation.yield(piece) }
                        return !Task.isCancelled
                    }
                    if let rest = pieces.rest() { continuation.yield(rest) }
                    continuation.finish()
                } catch {
                    continuation.finish(throwing: error)
                }
            }
            continuation.onTermination = { _ in task.cancel() }
        }
    }

    /// The tokens after a prompt, each given to `take`, which says whether to go on; without the stop token.
    @discardableResult
    public func generate(
        _ prompt: [Int], maximum: Int, temperature: Float = 0, take: (Int) -> Bool = { _ in true }
    ) async throws -> [Int] {
        guard (1...facts.context).contains(prompt.count) else {
            throw GenerationError.promptLength(prompt.count, allowed: 1...facts.context)
        }
        let state = decode.makeState()
        var tokens = prompt
        var done = 0
        var made: [Int] = []
        while done < facts.context && made.count < maximum {
            let isChunk =
                facts.prefill > 1 && done % facts.prefill == 0 && tokens.count - done >= facts.prefill
            let count = isChunk ? facts.prefill : 1
            let given = Array(tokens[done..<(done + count)])
            let output = try await predict(given, at: done, isChunk ? prefill : decode, state)
            done += count
            guard done == tokens.count else { continue }
            let next = await choose(output, temperature)
            if facts.stopTokens.contains(next) { break }
            tokens.append(next)
            made.append(next)
            if !take(next) { break }
        }
        return made
    }

    private func predict(
        _ tokens: [Int], at position: Int, _ model: MLModel, _ state: MLState
    ) async throws -> MLTensor {
        let given = MLTensor(
            MLShapedArray<Int32>(scalars: tokens.map(Int32.init), shape: [1, tokens.count]))
        let place = MLTensor(MLShapedArray<Int32>(scalars: [Int32(position)], shape: [1]))
        let output = try await model.prediction(from: ["tokens": given, "position": place], using: state)
        guard let tensor = output[facts.output] else { throw GenerationError.missingOutput(facts.output) }
        return tensor
    }

    /// The model's own choice, the likeliest token, or one drawn at a temperature.
    private func choose(_ output: MLTensor, _ temperature: Float) async -> Int {
        if facts.output == "token" {
            return Int(await output.shapedArray(of: Int32.self).scalars[0])
        }
        let logits = await output.cast(to: Float.self).shapedArray(of: Float.self).scalars
        let best = logits.indices.max { logits[$0] < logits[$1] } ?? 0
        guard temperature > 0 else { return best }
        let weights = logits.map { exp(($0 - logits[best]) / temperature) }
        var left = Float.random(in: 0..<weights.reduce(0, +))
        for (token, weight) in weights.enumerated() {
            left -= weight
            if left < 0 { return token }
        }
        return best
    }
}

/// Text that grows token by token, without the halves of characters.
struct Pieces {
    let tokenizer: any Tokenizer
    private var tokens: [Int] = []
    private var shown = ""

    init(tokenizer: any Tokenizer) {
        self.tokenizer = tokenizer
    }

    /// What a token adds to the text, or nothing while a character is incomplete.
    mutating func add(_ token: Int) -> String? {
        tokens.append(token)
        let text = tokenizer.decode(tokens: tokens)
        return text.hasSuffix("\u{FFFD}") ? nil : show(text)
    }

    /// What is still to be shown at the end.
    mutating func rest() -> String? {
        show(tokenizer.decode(tokens: tokens))
    }

    private mutating func show(_ text: String) -> String? {
        defer { shown = text }
        let piece = String(text.dropFirst(shown.count))
        return piece.isEmpty ? nil : piece
    }
}
