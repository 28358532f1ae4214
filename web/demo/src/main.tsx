import { render } from 'preact';
import { App } from './app';
import { askSupport } from './support';
import './styles/base.css';
import './styles/shell.css';

void askSupport();
const root = document.getElementById('app');
if (root) render(<App />, root);
