"""Starts the dashboard: `streamlit run streamlit_app.py`."""

import streamlit as st
from starlette.middleware import Middleware

from app.browser_cookie import BrowserCookie
from app.people import is_set_shared
from app.warm_up import lifespan

app = st.App("app/main.py", lifespan=lifespan, middleware=[Middleware(BrowserCookie, wanted=is_set_shared)])
