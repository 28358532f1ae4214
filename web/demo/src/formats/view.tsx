/** What any number format does to numbers. */
import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { Failure } from '../ui/failure';
import { digits } from '../units';
import { Weights } from './histogram';
import { NumberLine } from './line';
import { Scatter } from './scatter';
import { failure, format, list, readFormat, readList, sample } from './state';
import '../styles/pages.css';

export default function Formats() {
  useEffect(() => void readList(), []);
  useEffect(() => void readFormat(), [format.value, sample.value]);
  return (
    <div class="page">
      <h1 tabIndex={-1}>Number formats</h1>
      <p class="lead">
        A number is a mantissa and an exponent. A low-precision format chooses who shares the exponent,
        and how many bits each weight keeps. What that does to numbers is computed here, by the code
        that loads models.
      </p>
      <Chooser />
      {failure.value && <Failure words={failure.value} />}
      <div class="cards">
        <NumberLine />
        <Weights />
        <Scatter />
      </div>
    </div>
  );
}

function Chooser() {
  const other = useSignal('');
  const listed = list.value.some((f) => f.name === format.value);
  const byName = (event: Event) => {
    event.preventDefault();
    const name = other.value.trim().toLowerCase();
    if (name) format.value = name;
  };
  return (
    <div class="chooser">
      <div class="fields">
        <label for="format">Format</label>
        <select id="format" value={format.value} onChange={(e) => (format.value = e.currentTarget.value)}>
          {!listed && <option value={format.value}>{format.value}</option>}
          {list.value.map((f) => (
            <option key={f.name} value={f.name}>
              {f.name}
            </option>
          ))}
        </select>
      </div>
      <form class="fields" onSubmit={byName}>
        <label for="other">Another by name</label>
        <div class="joined">
          <input
            id="other"
            type="text"
            spellcheck={false}
            autocapitalize="none"
            placeholder="bfp:m5:n64"
            value={other.value}
            onInput={(e) => (other.value = e.currentTarget.value)}
          />
          <button type="submit" disabled={!other.value.trim()}>
            Show
          </button>
        </div>
      </form>
      <Facts />
    </div>
  );
}

function Facts() {
  const info = list.value.find((f) => f.name === format.value);
  if (!info) return <p class="note">&nbsp;</p>;
  const block =
    info.blockLength === 1 ? 'no blocks' : `blocks of ${info.blockLength} weights in ${info.blockBytes} bytes`;
  const where = info.gguf ? 'GGUF holds it' : 'safetensors holds it, GGUF does not';
  return (
    <p class="note">
      {digits(info.bitsPerWeight, 4)} bits per weight, {block}
      {info.rowScale ? ', a scale per row' : ''}; {where}.
    </p>
  );
}
