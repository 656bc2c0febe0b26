"""Starts the dashboard: `streamlit run streamlit_app.py`."""

import streamlit as st

from app.warm_up import lifespan

app = st.App("app/main.py", lifespan=lifespan)
