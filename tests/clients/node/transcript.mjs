// What every script here does: tell what it sees, and tell the provider how far it has seen a stream.

import { createRequire } from 'node:module';

export const { BASE_URL, CONTROL_URL } = process.env;

// The packages are installed beside the checkout's sources, where an import does not look.
export const require = createRequire(process.env.CLIENTS + '/package.json');

/** One line of the transcript. Key order is kept: it is part of what arrived. */
export function tell(name, value) {
  console.log(`${name}: ${JSON.stringify(value)}`);
}

async function control(path) {
  const answer = await fetch(CONTROL_URL + path, { method: 'POST' });
  await answer.arrayBuffer();
}

/** The provider goes on with that stream. */
export const seen = (stream, pieces) => control(`/seen/${stream}/${pieces}`);

/** Resolves when the provider has noticed that this stream's client is gone. */
export const awaitLeaving = (stream) => control(`/await/left/${stream}`);

/** Tells the error that `call` must end in. */
export async function attempt(name, call) {
  try {
    tell(name, ['no error', await call()]);
  } catch (error) {
    const { status, message, code, type, error: body, requestID } = error;
    const cause = error.cause?.cause?.code ?? error.cause?.code;
    tell(name, { class: error.constructor.name, status, message, code, type, body, requestID, cause, headers: error.headers && headers(error) });
  }
}

// The fields that belong to one connection; a client's own connection is with the proxy.
const HOP_BY_HOP = new Set(['connection', 'keep-alive', 'transfer-encoding']);

/** The header fields of an answer, as fetch shows them. */
export const headers = (response) => [...response.headers].filter(([name]) => !HOP_BY_HOP.has(name));
