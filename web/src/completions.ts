/** OpenAI's chat completions over {@link Chat}. */
import type {
  ChatCompletion,
  ChatCompletionChunk,
  ChatCompletionRequest,
  ChatCompletionUsage,
  Completions,
  GenerateOptions,
  Generation,
  GenerationResult,
  Message,
} from './types.js';

type Ask = (messages: Message[], options: GenerateOptions) => Generation;

export function completions(ask: Ask, model: string): Completions {
  function create(
    request: ChatCompletionRequest & { stream: true },
  ): Promise<AsyncIterable<ChatCompletionChunk>>;
  function create(request: ChatCompletionRequest & { stream?: false }): Promise<ChatCompletion>;
  async function create(
    request: ChatCompletionRequest,
  ): Promise<ChatCompletion | AsyncIterable<ChatCompletionChunk>> {
    const generation = ask(request.messages, options(request));
    const head = {
      id: `chatcmpl-${crypto.randomUUID()}`,
      created: Math.floor(Date.now() / 1000),
      model: request.model ?? model,
    };
    if (request.stream) {
      return chunks(generation, head, request.stream_options?.include_usage ?? false);
    }
    const result = await generation.result;
    return {
      ...head,
      object: 'chat.completion',
      choices: [
        {
          index: 0,
          message: { role: 'assistant', content: result.text },
          finish_reason: reason(result),
        },
      ],
      usage: usage(result),
    };
  }
  return { create };
}

type Head = Pick<ChatCompletion, 'id' | 'created' | 'model'>;

async function* chunks(
  generation: Generation,
  head: Head,
  withUsage: boolean,
): AsyncGenerator<ChatCompletionChunk> {
  const chunk = (
    delta: ChatCompletionChunk['choices'][0]['delta'],
    finish_reason: 'stop' | 'length' | null = null,
  ): ChatCompletionChunk => ({
    ...head,
    object: 'chat.completion.chunk',
    choices: [{ index: 0, delta, finish_reason }],
  });
  yield chunk({ role: 'assistant', content: '' });
  for await (const content of generation) yield chunk({ content });
  const result = await generation.result;
  yield chunk({}, reason(result));
  if (withUsage) yield { ...chunk({}), choices: [], usage: usage(result) };
}

function options(request: ChatCompletionRequest): GenerateOptions {
  const maxTokens = request.max_completion_tokens ?? request.max_tokens;
  const given = {
    maxTokens,
    // OpenAI's default is 1; so that the same call means the same here.
    temperature: request.temperature ?? 1,
    topP: request.top_p,
    topK: request.top_k,
    minP: request.min_p,
    repeatPenalty: request.repeat_penalty,
    seed: request.seed,
    lookup: request.lookup,
    inFlight: request.in_flight,
    signal: request.signal,
  };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

function reason(result: GenerationResult): 'stop' | 'length' {
  return result.finishReason === 'length' || result.finishReason === 'context' ? 'length' : 'stop';
}

function usage(result: GenerationResult): ChatCompletionUsage {
  return {
    prompt_tokens: result.promptTokens,
    completion_tokens: result.tokens,
    total_tokens: result.promptTokens + result.tokens,
  };
}
