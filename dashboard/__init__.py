"""The Streamlit app: a question, a frame, a figure, a page."""
