import { render } from 'preact'
import { App } from './app.tsx'
import { takeKey } from './session.ts'

const key = takeKey(location.hash, sessionStorage, () => history.replaceState(null, '', location.pathname))
render(<App initialKey={key} />, document.body)
