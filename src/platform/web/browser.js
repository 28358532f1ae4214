// What only JavaScript can do for the browser's side of the platform.

const queue = [];
let channel;

/**
 * Resolves after about so many milliseconds. A timer that is set by a timer is held back to four; one
 * that is set by a message is not.
 */
export function tick(milliseconds) {
  if (!channel) {
    channel = new MessageChannel();
    channel.port1.onmessage = () => setTimeout(...queue.shift());
  }
  return new Promise((resolve) => {
    queue.push([resolve, milliseconds]);
    channel.port2.postMessage(0);
  });
}

// wgpu makes pipelines by the synchronous constructor, which compiles on the GPU process's main
// thread and so holds up the drawing of every page. Its call is therefore made twice: once to learn
// the descriptor that it makes, which goes to the asynchronous constructor, and once to be given
// what that has made.
let learning;
let given;
let wrapped = false;

function wrap() {
  wrapped = true;
  const prototype = GPUDevice.prototype;
  const make = prototype.createComputePipeline;
  prototype.createComputePipeline = function (descriptor) {
    if (learning) {
      learning.push(this.createComputePipelineAsync(descriptor));
      return {};
    }
    const pipeline = given;
    given = undefined;
    return pipeline ?? make.call(this, descriptor);
  };
}

/** A promise of the pipeline that `create` asks for; it rejects with the browser's reason. */
export function compile(create) {
  if (!wrapped) wrap();
  learning = [];
  try {
    create();
    return learning[0] ?? Promise.resolve();
  } finally {
    learning = undefined;
  }
}

/** What the next call of the synchronous constructor returns. */
export function give(pipeline) {
  given = pipeline;
}

/** The machine's cores, as far as the browser tells. */
export function cores() {
  return navigator.hardwareConcurrency ?? 1;
}

/** Whether WGSL has storage textures that kernels read. */
export function readsStorageTextures() {
  return navigator.gpu?.wgslLanguageFeatures?.has('readonly_and_readwrite_storage_textures') ?? false;
}

// wgpu 30 knows no subgroups in a browser (gfx-rs/wgpu #10146): it neither asks for them nor says that they
// are there. WGSL goes through it as it is.
let wanted = false;
let asked = false;
let adaptersWrapped = false;

function wrapAdapters() {
  adaptersWrapped = true;
  const prototype = GPUAdapter.prototype;
  const request = prototype.requestDevice;
  prototype.requestDevice = function (descriptor = {}) {
    asked = wanted && this.features.has('subgroups');
    if (asked) descriptor.requiredFeatures = [...(descriptor.requiredFeatures ?? []), 'subgroups'];
    return request.call(this, descriptor);
  };
}

/** Whether the next device that wgpu asks for is to have subgroups, if the adapter has them. */
export function askForSubgroups(want) {
  if (!adaptersWrapped && typeof GPUAdapter !== 'undefined') wrapAdapters();
  wanted = want;
  asked = false;
}

/** Whether it was asked for with them; from now on none is. */
export function askedForSubgroups() {
  wanted = false;
  return asked;
}
